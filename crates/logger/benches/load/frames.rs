//! Frames of venues of which there is no capture, as the simulator sends them.

use std::{fs, path::Path, time::Duration};

use exchange_protocol::{Stream, Subscription};
use exchange_simulator::{Config, Simulator, VenueConfig, VenueKind};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::time::timeout;
use tokio_tungstenite::{connect_async, tungstenite::Message};

const VENUES: [VenueKind; 3] = [VenueKind::Kraken, VenueKind::Okx, VenueKind::Bitfinex];
/// Frames kept of each connection.
const FRAMES: usize = 3_000;

/// Writes a file for each venue: a JSON list of its symbols, then what came on a connection that subscribed to all, a frame a
/// line.
pub(crate) fn write(directory: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let venues = VENUES.map(VenueConfig::new).to_vec();
        let simulator = Simulator::start(Config { venues, rate: 2_000.0, ..Config::default() }).await.unwrap();
        for exchange in VENUES.map(VenueKind::name) {
            let symbols = simulator.symbols(exchange);
            let mut lines = vec![serde_json::to_string(&symbols).unwrap()];
            let venue = exchange_protocol::venue(exchange).unwrap();
            let mut paths: Vec<&str> = venue.streams().iter().map(|stream| venue.path(*stream)).collect();
            paths.dedup();
            for path in paths {
                let streams: Vec<Stream> =
                    venue.streams().iter().copied().filter(|stream| venue.path(*stream) == path).collect();
                let of_symbol = |symbol: &String| {
                    streams.clone().into_iter().map(|stream| Subscription { symbol: symbol.clone(), stream }).collect()
                };
                let wanted: Vec<Subscription> =
                    symbols.iter().flat_map(|symbol| -> Vec<_> { of_symbol(symbol) }).collect();
                lines.extend(receive(&format!("{}{path}", simulator.ws_url(exchange)), venue, &wanted).await);
            }
            fs::write(directory.join(exchange), lines.join("\n")).unwrap();
        }
        simulator.shutdown().await.unwrap();
    });
}

async fn receive(url: &str, venue: &dyn exchange_protocol::Venue, wanted: &[Subscription]) -> Vec<String> {
    let (mut socket, _) = connect_async(url).await.unwrap();
    let mut session = venue.session();
    let mut requests = session.open();
    requests.extend(session.subscribe(wanted));
    for request in requests {
        socket.send(Message::text(request)).await.unwrap();
    }
    let mut frames = Vec::new();
    while frames.len() < FRAMES {
        let message = timeout(Duration::from_secs(30), socket.next()).await.unwrap().unwrap().unwrap();
        if let Message::Text(text) = message {
            frames.push(text.as_str().to_owned());
        }
    }
    frames
}
