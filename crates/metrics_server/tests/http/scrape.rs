//! Scrapes that take long, fail or come all at once.

use crate::client::{get, series, within};
use metrics_server::{Endpoint, Exposition, Health, Limits};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What a scrape does that reaches the collector.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Wait,
    Fail,
    Panic,
    Answer,
}

#[derive(Debug)]
struct Controlled {
    behaviour: Mutex<Behaviour>,
    changed: Condvar,
    encoding: Mutex<usize>,
}

impl Controlled {
    fn new(behaviour: Behaviour) -> Arc<Self> {
        Arc::new(Self { behaviour: Mutex::new(behaviour), changed: Condvar::new(), encoding: Mutex::new(0) })
    }

    fn set(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
        self.changed.notify_all();
    }
}

impl Collector for Controlled {
    fn encode(&self, _: DescriptorEncoder) -> std::fmt::Result {
        *self.encoding.lock().unwrap() += 1;
        assert_eq!(*self.encoding.lock().unwrap(), 1, "two encodings at a time");
        let waiting = |behaviour: &mut Behaviour| *behaviour == Behaviour::Wait;
        let behaviour = self.behaviour.lock().unwrap();
        let waited = self.changed.wait_timeout_while(behaviour, crate::client::DEADLINE, waiting).unwrap();
        let behaviour = *waited.0;
        // A panic below must not poison what the test goes on to use.
        drop(waited);
        *self.encoding.lock().unwrap() -= 1;
        match behaviour {
            Behaviour::Fail => Err(std::fmt::Error),
            Behaviour::Panic => panic!("a collector panics"),
            Behaviour::Wait | Behaviour::Answer => Ok(()),
        }
    }
}

async fn start(collector: &Arc<Controlled>, limits: Limits) -> SocketAddr {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Arc::clone(collector)));
    let builder = Endpoint::builder(Exposition::new(registry), Health::new("test"));
    let endpoint = builder.listen("127.0.0.1:0".parse().unwrap()).limits(limits).bind().await.unwrap();
    let address = endpoint.local_addrs()[0];
    tokio::spawn(endpoint.serve(CancellationToken::new()));
    address
}

/// On one thread: were the encoding done there, `/health` could not be answered meanwhile.
#[tokio::test(flavor = "current_thread")]
async fn scrapes_over_the_cap_are_refused_while_the_rest_waits() {
    let collector = Controlled::new(Behaviour::Wait);
    let address = start(&collector, Limits { scrapes_in_flight: 2, ..Limits::default() }).await;
    let mut scrapes = JoinSet::new();
    for _ in 0..3 {
        scrapes.spawn(get(address, "/metrics"));
    }
    let refused = within(scrapes.join_next()).await.unwrap().unwrap();
    assert_eq!((refused.status, refused.body.as_str()), (503, "too many scrapes in flight\n"));
    assert_eq!(get(address, "/health").await.status, 200);

    collector.set(Behaviour::Answer);
    while let Some(served) = within(scrapes.join_next()).await {
        assert_eq!(served.unwrap().status, 200);
    }
    let text = get(address, "/metrics").await.body;
    assert_eq!(series(&text, "metrics_server_scrapes_refused_total"), Some(1.0));
    assert_eq!(series(&text, "metrics_server_scrapes_in_flight"), Some(1.0));
    assert_eq!(series(&text, "metrics_server_scrape_duration_seconds_count"), Some(2.0));
    assert!(series(&text, "metrics_server_scrape_size_bytes") > Some(1000.0), "{text}");
}

#[tokio::test]
async fn a_scrape_that_fails_or_panics_is_answered_and_the_next_one_works() {
    let collector = Controlled::new(Behaviour::Fail);
    let address = start(&collector, Limits::default()).await;
    assert_eq!(get(address, "/metrics").await.status, 500);
    collector.set(Behaviour::Panic);
    assert_eq!(get(address, "/metrics").await.status, 500);
    collector.set(Behaviour::Answer);
    let response = get(address, "/metrics").await;
    assert_eq!(response.status, 200);
    assert_eq!(series(&response.body, "metrics_server_scrape_errors_total"), Some(2.0));
    assert_eq!(series(&response.body, "metrics_server_scrapes_in_flight"), Some(1.0));
}

#[tokio::test]
async fn clients_that_hang_up_do_not_keep_their_places() {
    let collector = Controlled::new(Behaviour::Wait);
    let address = start(&collector, Limits { scrapes_in_flight: 1, ..Limits::default() }).await;
    let mut scrapes = JoinSet::new();
    scrapes.spawn(get(address, "/metrics"));
    scrapes.spawn(get(address, "/metrics"));
    assert_eq!(within(scrapes.join_next()).await.unwrap().unwrap().status, 503);
    // The encoding goes on without its client, and holds the place until it is done.
    scrapes.shutdown().await;
    assert_eq!(get(address, "/metrics").await.status, 503);
    collector.set(Behaviour::Answer);
    let deadline = tokio::time::Instant::now() + crate::client::DEADLINE;
    while get(address, "/metrics").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline);
    }
}
