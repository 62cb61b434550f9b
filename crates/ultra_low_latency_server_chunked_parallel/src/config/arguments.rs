//! The command line. Values stay text here: errors must name the flag or the variable that a value came from.

use std::ffi::OsString;

use clap::Parser;
use metrics_server::MetricsArgs;

use super::limits::LimitArguments;

const EXAMPLES: &str = "\
Examples:
  Serve ./data on port 8443, metrics on port 9091:
    ultra_low_latency_server_chunked_parallel --use-tls=false

  Serve another directory, to this machine only:
    ultra_low_latency_server_chunked_parallel --data-path /srv/market --listen 127.0.0.1 --metrics-listen 127.0.0.1:9091

  The same by environment:
    DATA_PATH=/srv/market USE_TLS=false PORT=8443 METRICS_PORT=9091 ultra_low_latency_server_chunked_parallel

  Ask it:
    curl 'http://localhost:8443/api/symbols'
    curl 'http://localhost:8443/api/data?symbol=BTC-USD&type=MD&start=1794960000&end=1794960059&columns=time,best_bid'

Exit codes: 0 stopped by SIGTERM or SIGINT, 64 bad configuration, 1 anything else.";

/// Serves time ranges of recorded market data to chart clients over HTTP.
#[derive(Debug, Parser)]
#[command(name = "ultra_low_latency_server_chunked_parallel", version, after_help = EXAMPLES)]
pub(super) struct Arguments {
    /// Port of the data API [env: PORT] [default: 8443]
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<OsString>,

    /// Address on which the data API listens [default: 0.0.0.0]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) listen: Option<String>,

    /// The metrics endpoint; port 9091 on all addresses if nothing is said.
    #[command(flatten)]
    pub(super) metrics: MetricsArgs,

    /// The data directory, which the logger writes; it need not exist yet [env: DATA_PATH] [default: ./data]
    #[arg(long, value_name = "DIRECTORY")]
    pub(super) data_path: Option<OsString>,

    /// Where the data API listens: HOST:PORT, unix:PATH, or systemd; repeatable; replaces address and port
    /// Separated by spaces in [env: DATA_LISTEN]
    #[arg(long, value_name = "ADDRESS")]
    pub(super) data_listen: Vec<OsString>,

    /// Whether to speak TLS; false serves plain HTTP without a warning [env: USE_TLS] [default: if there is a certificate]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub(super) use_tls: Option<OsString>,

    /// TLS certificate chain, PEM; read again when it changes [env: SSL_CERT_PATH]
    #[arg(long, value_name = "FILE")]
    pub(super) ssl_cert_path: Option<OsString>,

    /// TLS private key, PEM: PKCS#8, PKCS#1 or SEC1 [env: SSL_PRIVATE_FILE]
    #[arg(long, value_name = "FILE")]
    pub(super) ssl_private_file: Option<OsString>,

    /// Speak TLS with a certificate for localhost that is made at each start; for development
    #[arg(long)]
    pub(super) tls_self_signed: bool,

    /// Sites whose pages may read the answers, such as https://charts.example; repeatable [default: all]
    /// Separated by spaces in [env: CORS_ORIGINS]
    #[arg(long, value_name = "ORIGIN")]
    pub(super) cors_origin: Vec<OsString>,

    /// File of bearer tokens, one a line; without one of them nobody gets data; read again when it changes
    /// [env: BEARER_TOKENS_FILE]
    #[arg(long, value_name = "FILE")]
    pub(super) bearer_tokens_file: Option<OsString>,

    #[command(flatten)]
    pub(super) limits: LimitArguments,

    /// Print the effective configuration as JSON and exit
    #[arg(long)]
    pub(super) print_config: bool,
}
