//! The libraries that are compared, each with one counter of three labels.

use std::hint::black_box;

/// The names of the labels.
pub(crate) const LABELS: [&str; 3] = ["exchange", "symbol", "side"];
const NAME: &str = "gpu_charts_trades";
const HELP: &str = "Trades recorded";

/// One library.
pub(crate) trait Contender: Send + Sync {
    fn name(&self) -> &'static str;
    /// Looks the series up by its labels, which it makes if there is none, and adds 1.
    fn increment(&self, labels: [&str; 3]);
    /// Encodes everything into text as the library does it for a scrape; the number of bytes.
    fn encode(&self) -> usize;
}

/// All of them, ours first.
pub(crate) fn contenders() -> Vec<Box<dyn Contender>> {
    vec![Box::new(Ours::new()), Box::new(Client::new()), Box::new(Prometheus::new()), Box::new(Exporter::new())]
}

/// The labels of series `index`.
pub(crate) fn labels(index: usize) -> [String; 3] {
    let exchange = ["coinbase", "binance", "kraken", "okx", "bitfinex"][index % 5];
    [exchange.to_owned(), format!("SYM{}-USD", index / 2), ["buy", "sell"][index % 2].to_owned()]
}

/// Makes series 0 to `count`.
pub(crate) fn fill(contender: &dyn Contender, count: usize) {
    for index in 0..count {
        let [exchange, symbol, side] = labels(index);
        contender.increment([&exchange, &symbol, &side]);
    }
}

/// This crate.
pub(crate) struct Ours {
    family: metrics_server::Family<metrics_server::Counter, 3>,
    exposition: metrics_server::Exposition,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let mut registry = metrics_server::Registry::new();
        let family = registry.counter(NAME, HELP).labels(LABELS).cap(1_000_000).register().expect("valid names");
        Self { family, exposition: metrics_server::Exposition::new(registry) }
    }

    pub(crate) fn into_exposition(self) -> metrics_server::Exposition {
        self.exposition
    }
}

impl Contender for Ours {
    fn name(&self) -> &'static str {
        "metrics_server"
    }

    fn increment(&self, labels: [&str; 3]) {
        self.family.with(labels).inc();
    }

    /// As the endpoint does it: a piece after the other into the same buffer, which stands for the socket.
    fn encode(&self) -> usize {
        let mut encoder = self.exposition.encoder(metrics_server::Format::Text, None);
        let (mut piece, mut bytes) = (Vec::new(), 0);
        loop {
            piece.clear();
            let more = encoder.encode_chunk(&mut piece).expect("valid metrics");
            bytes += black_box(&piece).len();
            if !more {
                return bytes;
            }
        }
    }
}

/// prometheus-client.
pub(crate) struct Client {
    family: prometheus_client::metrics::family::Family<ClientLabels, prometheus_client::metrics::counter::Counter>,
    registry: prometheus_client::registry::Registry,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, prometheus_client::encoding::EncodeLabelSet)]
struct ClientLabels {
    exchange: String,
    symbol: String,
    side: String,
}

impl Client {
    pub(crate) fn new() -> Self {
        let family = prometheus_client::metrics::family::Family::default();
        let mut registry = prometheus_client::registry::Registry::default();
        registry.register(NAME, HELP, Clone::clone(&family));
        Self { family, registry }
    }

    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("a string takes all");
        text
    }
}

impl Contender for Client {
    fn name(&self) -> &'static str {
        "prometheus-client"
    }

    fn increment(&self, [exchange, symbol, side]: [&str; 3]) {
        let labels = ClientLabels { exchange: exchange.into(), symbol: symbol.into(), side: side.into() };
        self.family.get_or_create(&labels).inc();
    }

    fn encode(&self) -> usize {
        black_box(self.text()).len()
    }
}

/// prometheus, the older library of that name.
pub(crate) struct Prometheus {
    family: prometheus::IntCounterVec,
    registry: prometheus::Registry,
}

impl Prometheus {
    fn new() -> Self {
        let family = prometheus::IntCounterVec::new(prometheus::Opts::new(NAME, HELP), &LABELS).expect("valid names");
        let registry = prometheus::Registry::new();
        registry.register(Box::new(family.clone())).expect("the only one");
        Self { family, registry }
    }
}

impl Contender for Prometheus {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn increment(&self, labels: [&str; 3]) {
        self.family.with_label_values(&labels).inc();
    }

    fn encode(&self) -> usize {
        let text = prometheus::TextEncoder::new().encode_to_string(&self.registry.gather());
        black_box(text.expect("valid metrics")).len()
    }
}

/// metrics, with metrics-exporter-prometheus.
pub(crate) struct Exporter {
    recorder: metrics_exporter_prometheus::PrometheusRecorder,
    handle: metrics_exporter_prometheus::PrometheusHandle,
}

impl Exporter {
    fn new() -> Self {
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        Self { recorder, handle }
    }
}

impl Contender for Exporter {
    fn name(&self) -> &'static str {
        "metrics-exporter-prometheus"
    }

    fn increment(&self, [exchange, symbol, side]: [&str; 3]) {
        let (exchange, symbol, side) = (exchange.to_owned(), symbol.to_owned(), side.to_owned());
        metrics::with_local_recorder(&self.recorder, || {
            metrics::counter!(NAME, "exchange" => exchange, "symbol" => symbol, "side" => side).increment(1);
        });
    }

    fn encode(&self) -> usize {
        black_box(self.handle.render()).len()
    }
}
