//! Real Prometheus servers, of version 2 and of version 3, scrape an endpoint in every way they offer: each format, over
//! TLS with a password, with a token, and with a certificate of their own.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use end_to_end::{eventually, program::free_address, project, prometheus::Prometheus};
use metrics_server::{Endpoint, Exposition, Health, NativeBuckets, Registry, Security, SecuritySource};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};
use tokio_util::sync::CancellationToken;

const LIMIT: Duration = Duration::from_secs(60);
/// What the labels of a metric may hold at worst.
const AWKWARD: &str = "quote \" backslash \\ line\nend";
const PASSWORD: &str = "U*U";
/// bcrypt of [`PASSWORD`], from the test vectors of crypt_blowfish.
const HASH: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const TOKEN: &str = "a-token-that-is-long-enough";

/// Certificates and passwords in files, as both sides want them.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Files(tempfile::tempdir().unwrap());
        files.write("ca.pem", &authority.pem());
        for (name, san) in [
            ("server", SanType::IpAddress([127, 0, 0, 1].into())),
            ("client", SanType::DnsName("prometheus.test".try_into().unwrap())),
        ] {
            let (mut params, key) = (CertificateParams::new(Vec::new()).unwrap(), KeyPair::generate().unwrap());
            params.subject_alt_names = vec![san];
            files.write(&format!("{name}.pem"), &params.signed_by(&key, &authority).unwrap().pem());
            files.write(&format!("{name}.key"), &key.serialize_pem());
        }
        files.write("tokens", TOKEN);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }
}

/// An endpoint that is guarded as `web_config` says.
struct Target {
    address: SocketAddr,
    exposition: Exposition,
    stop: CancellationToken,
}

impl Target {
    async fn start(web_config: Option<PathBuf>) -> Target {
        let mut registry = Registry::new();
        let events = registry.counter("probe_events", "Events of the test").labels(["kind"]).register().unwrap();
        events.with([AWKWARD]).add(42);
        registry.gauge("probe_level", "A gauge").register().unwrap().set(-0.25);
        registry.gauge("probe_infinite", "A gauge\nof two lines").register().unwrap().set(f64::INFINITY);
        let seconds = registry.histogram("probe_seconds", "A histogram").buckets([0.1, 1.0]).register().unwrap();
        let native = registry.histogram("probe_native_seconds", "A native one").native(NativeBuckets::default());
        let native = native.register().unwrap();
        for value in [0.05, 0.5, 5.0, 50.0] {
            seconds.observe(value);
            native.observe(value);
        }
        let source = web_config.map(SecuritySource::web_config).unwrap_or_default();
        let security = Security::start(source, &mut registry).await.unwrap();
        let exposition = Exposition::new(registry);
        let endpoint = Endpoint::builder(exposition.clone(), Health::new("test"))
            .listen("127.0.0.1:0".parse().unwrap())
            .security(security)
            .bind()
            .await
            .unwrap();
        let (address, stop) = (endpoint.local_addrs()[0], CancellationToken::new());
        tokio::spawn(endpoint.serve(stop.clone()));
        Target { address, exposition, stop }
    }

    /// In which formats it was scraped.
    fn formats(&self) -> Vec<String> {
        let text = self.exposition.encode().unwrap();
        let scrapes = text.lines().filter(|line| line.starts_with("metrics_server_scrapes_total{"));
        let scraped = scrapes.filter(|line| !line.ends_with(" 0"));
        scraped.map(|line| line.split('"').nth(1).unwrap().to_owned()).collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A target and how a Prometheus gets at it.
struct Job {
    name: &'static str,
    target: Target,
    /// Lines of its scrape configuration.
    how: String,
}

async fn secured_jobs(files: &Files) -> Vec<Job> {
    let tls = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n";
    let ca = format!("    scheme: https\n    tls_config:\n      ca_file: {}\n", files.path("ca.pem").display());
    let basic = files.write("basic.yml", &format!("{tls}basic_auth_users:\n  alice: {HASH}\n"));
    let token = files.write("token.yml", &format!("{tls}bearer_tokens_file: tokens\n"));
    let mutual = files.write(
        "mutual.yml",
        &format!(
            "{tls}  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_allowed_sans: [prometheus.test]\n"
        ),
    );
    let own = format!(
        "      cert_file: {}\n      key_file: {}\n",
        files.path("client.pem").display(),
        files.path("client.key").display()
    );
    let credentials = format!("    basic_auth: {{ username: alice, password: '{PASSWORD}' }}\n");
    let wrong = "    basic_auth: { username: alice, password: wrong }\n";
    let bearer = format!("    authorization: {{ credentials: {TOKEN} }}\n");
    let job = |name, web_config: &Path, how| {
        let web_config = web_config.to_owned();
        async move { Job { name, target: Target::start(Some(web_config)).await, how } }
    };
    vec![
        job("tls-password", &basic, format!("{ca}{credentials}")).await,
        job("tls-token", &token, format!("{ca}{bearer}")).await,
        job("mutual-tls", &mutual, format!("{ca}{own}")).await,
        // These must not get in.
        job("wrong-password", &basic, format!("{ca}{wrong}")).await,
        job("no-certificate", &mutual, ca.clone()).await,
    ]
}

/// What the endpoint counts of the jobs that are refused; the others are let in. The scraper may see no more than a
/// connection that breaks.
const REFUSED: [(&str, &str); 2] = [
    ("wrong-password", "metrics_server_auth_failures_total{reason=\"wrong\"}"),
    ("no-certificate", "metrics_server_tls_handshake_errors_total{reason=\"client_certificate\"}"),
];

fn config(jobs: &[Job]) -> String {
    let mut text = "global: { scrape_interval: 1s, scrape_timeout: 1s }\nscrape_configs:\n".to_owned();
    for Job { name, target, how } in jobs {
        let address = target.address;
        text += &format!("  - job_name: {name}\n{how}    static_configs: [{{ targets: ['{address}'] }}]\n");
    }
    text
}

/// Every job that should be up is, with the values that the endpoint has; the others are refused for the right reason.
async fn scraped(program: &Path, jobs: &[Job], flags: &[&str]) -> (Prometheus, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("prometheus.yml"), config(jobs)).unwrap();
    let prometheus = Prometheus::run(program, directory.path(), free_address(), flags).await;
    eventually("all targets to be scraped", LIMIT, || async {
        let scrapes = prometheus.scrapes().await;
        (scrapes.len() == jobs.len() && scrapes.iter().all(|(_, health, _)| health != "unknown")).then_some(())
    })
    .await;
    for (job, health, error) in prometheus.scrapes().await {
        match REFUSED.iter().find(|(name, _)| *name == job) {
            None => assert_eq!((health.as_str(), error.as_str()), ("up", ""), "{job}"),
            Some((_, counted)) => {
                assert!(health == "down" && !error.is_empty(), "{job}: {health} {error}");
                let target = &jobs.iter().find(|other| other.name == job).unwrap().target;
                let text = target.exposition.encode().unwrap();
                let count = text.lines().find_map(|line| line.strip_prefix(counted)?.trim().parse::<u64>().ok());
                assert!(count.is_some_and(|count| count > 0), "{job}: {counted} is {count:?}");
            }
        }
    }
    for Job { name, .. } in jobs.iter().filter(|job| REFUSED.iter().all(|(name, _)| *name != job.name)) {
        let value = |metric: &str| {
            let expression = format!("{metric}{{job=\"{name}\"}}");
            let prometheus = &prometheus;
            async move {
                let samples = prometheus.query(&expression).await;
                assert_eq!(samples.len(), 1, "{expression}");
                samples.into_iter().next().unwrap()
            }
        };
        let (labels, events) = value("probe_events_total").await;
        assert_eq!((labels["kind"].as_str(), events), (Some(AWKWARD), 42.0), "{name}");
        assert_eq!(value("probe_level").await.1, -0.25, "{name}");
        assert_eq!(value("probe_infinite").await.1, f64::INFINITY, "{name}");
    }
    (prometheus, directory)
}

/// The middle and the number of a native histogram's values are known only if its buckets arrived.
async fn has_native_histogram(prometheus: &Prometheus, job: &str) -> bool {
    let count = prometheus.query(&format!("histogram_count(probe_native_seconds{{job=\"{job}\"}})")).await;
    let Some((_, count)) = count.first() else { return false };
    assert_eq!(*count, 4.0, "{job}");
    let upper = prometheus.value(&format!("histogram_quantile(1, probe_native_seconds{{job=\"{job}\"}})")).await;
    // Buckets of schema 3 grow by 9%.
    assert!(upper.is_some_and(|upper| (50.0..55.0).contains(&upper)), "{job}: {upper:?}");
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_2_in_all_ways() {
    let files = Files::new();
    let program = Path::new("prometheus");
    let mut jobs = secured_jobs(&files).await;
    jobs.push(Job { name: "plain", target: Target::start(None).await, how: String::new() });
    let (prometheus, _directory) = scraped(program, &jobs, &[]).await;
    assert_eq!(jobs.last().unwrap().target.formats(), ["openmetrics"]);
    let buckets = prometheus.value("probe_seconds_bucket{job=\"plain\",le=\"1.0\"}").await;
    assert_eq!(buckets, Some(2.0), "OpenMetrics writes whole bounds with a decimal");
    assert!(!has_native_histogram(&prometheus, "plain").await, "text has none");

    let jobs = [Job { name: "protobuf", target: Target::start(None).await, how: String::new() }];
    let (prometheus, _directory) = scraped(program, &jobs, &["--enable-feature=native-histograms"]).await;
    assert_eq!(jobs[0].target.formats(), ["protobuf"]);
    assert!(has_native_histogram(&prometheus, "protobuf").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_3_in_all_ways() {
    let program = project().join("target/prometheus-3/usr/bin/prometheus");
    if !program.exists() {
        eprintln!("SKIPPED: there is no {}; scripts/prometheus-3.sh gets it", program.display());
        return;
    }
    let files = Files::new();
    let mut jobs = secured_jobs(&files).await;
    jobs.push(Job { name: "default", target: Target::start(None).await, how: String::new() });
    let protocols = [
        ("PrometheusProto", "protobuf"),
        ("OpenMetricsText1.0.0", "openmetrics"),
        ("OpenMetricsText0.0.1", "openmetrics"),
        ("PrometheusText0.0.4", "text"),
    ];
    for (protocol, _) in protocols {
        // Without a fallback: an answer whose type it does not know fails the scrape.
        let how = format!("    scrape_protocols: [{protocol}]\n");
        jobs.push(Job { name: protocol, target: Target::start(None).await, how });
    }
    let (prometheus, _directory) = scraped(&program, &jobs, &["--enable-feature=native-histograms"]).await;
    for (protocol, format) in protocols {
        let job = jobs.iter().find(|job| job.name == protocol).unwrap();
        assert_eq!(job.target.formats(), [format], "{protocol}");
        assert_eq!(has_native_histogram(&prometheus, protocol).await, format == "protobuf", "{protocol}");
        // Version 3 writes all whole bounds with a decimal.
        let bucket = format!("probe_seconds_bucket{{job=\"{protocol}\",le=\"1.0\"}}");
        assert_eq!(prometheus.value(&bucket).await, Some(2.0), "{protocol}");
    }
}
