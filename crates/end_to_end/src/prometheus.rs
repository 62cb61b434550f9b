//! A real Prometheus that scrapes the services under test, with the project's own configuration.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use serde_json::Value;

use crate::{
    eventually, http,
    program::{Program, free_address},
    project,
};

/// A running Prometheus.
pub struct Prometheus {
    /// Where its API is.
    pub address: SocketAddr,
    /// The process.
    pub program: Program,
}

impl Prometheus {
    /// Starts it on the configuration that the demo uses: made from `prometheus/prometheus.yml` for native ports and scrapes
    /// every second.
    pub async fn start(directory: &Path, logger: SocketAddr, server: SocketAddr) -> Prometheus {
        let address = free_address();
        let config = directory.join("prometheus.yml");
        let output = Command::new(project().join("scripts/native-prometheus-config.sh"))
            .arg(&config)
            .env("LOGGER_METRICS_PORT", logger.port().to_string())
            .env("SERVER_METRICS_PORT", server.port().to_string())
            .env("PROMETHEUS_PORT", address.port().to_string())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Prometheus::run(Path::new("prometheus"), directory, address, &[]).await
    }

    /// Starts a Prometheus on the `prometheus.yml` in `directory`, which takes all that it writes too.
    pub async fn run(program: &Path, directory: &Path, address: SocketAddr, flags: &[&str]) -> Prometheus {
        let mut args = vec![
            format!("--config.file={}", directory.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", directory.join("tsdb").display()),
            format!("--web.listen-address={address}"),
        ];
        args.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let program = Program::start(program, &args, &directory.join("prometheus.log"));
        let prometheus = Prometheus { address, program };
        eventually("Prometheus to be ready", Duration::from_secs(60), || async {
            http::try_get(address, "/-/ready").await.filter(|answer| answer.status == 200)
        })
        .await;
        prometheus
    }

    /// The result of an instant query: labels and value of each sample.
    pub async fn query(&self, expression: &str) -> Vec<(Value, f64)> {
        let answer = http::get(self.address, &format!("/api/v1/query?query={}", percent_encoded(expression))).await;
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(json["status"], "success", "{expression}: {}", answer.text());
        let samples = json["data"]["result"].as_array().unwrap().iter();
        samples
            .map(|sample| (sample["metric"].clone(), sample["value"][1].as_str().unwrap().parse().unwrap()))
            .collect()
    }

    /// The single value of a query, if it has one.
    pub async fn value(&self, expression: &str) -> Option<f64> {
        match self.query(expression).await.as_slice() {
            [] => None,
            [(_, value)] => Some(*value),
            more => panic!("{expression} has {} samples", more.len()),
        }
    }

    /// Job, health and last error of each active target.
    pub async fn scrapes(&self) -> Vec<(String, String, String)> {
        let answer = http::get(self.address, "/api/v1/targets?state=active").await;
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let targets = json["data"]["activeTargets"].as_array().unwrap().iter();
        targets
            .map(|target| (text(&target["labels"]["job"]), text(&target["health"]), text(&target["lastError"])))
            .collect()
    }

    /// Job and health of each active target.
    pub async fn targets(&self) -> Vec<(String, String)> {
        self.scrapes().await.into_iter().map(|(job, health, _)| (job, health)).collect()
    }
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
