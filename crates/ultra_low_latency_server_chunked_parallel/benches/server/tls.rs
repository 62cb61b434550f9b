//! HTTP/2 over TLS, with h2load as the client.

use std::{process::Command, time::Duration};

use crate::{
    Bench, data,
    peers::Peer,
    table::{Row, Target},
};

/// Requests a second, GB a second, and the server's processor seconds per GB.
struct Figures {
    requests: f64,
    gigabytes: f64,
    cpu: f64,
}

fn h2load(peer: &Peer, target: &str, streams: &str, duration: Duration) -> Figures {
    let url = format!("https://{}{target}", peer.tls.unwrap());
    let seconds = duration.as_secs_f64().ceil().max(1.0).to_string();
    let before = peer.cpu();
    let output = Command::new("h2load")
        .args(["-c", "1", "-t", "1", "-m", streams, "-D", &seconds, "-w", "24", "-W", "24", &url])
        .output();
    let cpu = (peer.cpu() - before).as_secs_f64();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let number = |line_begin: &str, index: usize| -> f64 {
        let line = text.lines().find(|line| line.starts_with(line_begin)).unwrap_or_else(|| panic!("{text}"));
        let numbers =
            line.split(|c: char| !(c.is_ascii_digit() || c == '.')).filter(|part| part.parse::<f64>().is_ok());
        numbers.map(|part| part.parse().unwrap()).nth(index).unwrap()
    };
    assert_eq!(number("requests:", 4), 0.0, "failed requests: {text}");
    // "traffic: 1.23GB (1234567890) total, …"
    let bytes = text.lines().find(|line| line.starts_with("traffic:")).unwrap();
    let bytes: f64 = bytes.split(['(', ')']).nth(1).unwrap().parse().unwrap();
    let took = number("finished in", 0);
    Figures { requests: number("finished in", 1), gigabytes: bytes / took / 1e9, cpu: cpu * 1e9 / bytes }
}

/// Large answers, then tiny ones on 64 streams of one connection.
pub(crate) fn tls(bench: &Bench, rounds: usize, duration: Duration, rows: &mut Vec<Row>) {
    let ours = Peer::ours_tls(&bench.root(), bench.directory.path());
    let (large, tiny) = (data::large("BTC-USD"), data::tiny("BTC-USD"));
    let mirrored = [bench.mirror("large", &large), bench.mirror("tiny", &tiny[..1])];
    let mut rates = [Vec::new(), Vec::new()];
    let mut cpus = [Vec::new(), Vec::new()];
    let mut requests = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for (side, peer) in [&ours, &bench.nginx].into_iter().enumerate() {
            let targets = if side == 0 { [&large[0], &tiny[0]] } else { [&mirrored[0][0], &mirrored[1][0]] };
            let (of_large, of_tiny) =
                (h2load(peer, targets[0], "4", duration), h2load(peer, targets[1], "64", duration));
            if round > 0 {
                rates[side].push(of_large.gigabytes);
                cpus[side].push(of_large.cpu);
                requests[side].push(of_tiny.requests / 1e3);
            }
        }
    }
    let mut row = |name, [ours, nginx]: [Vec<f64>; 2], target| rows.push(Row { name, ours, nginx, target });
    row("TLS h2 large, GB/s", rates, Target::AtLeast(1.5));
    row("TLS h2 large, CPU s/GB", cpus, Target::AtMost(0.55));
    row("TLS h2 tiny, 1 connection × 64 streams, krps", requests, Target::AtLeast(0.65));
}
