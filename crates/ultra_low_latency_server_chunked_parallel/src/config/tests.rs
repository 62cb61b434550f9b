use super::*;

fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, ConfigError> {
    let arguments = ["server"].iter().chain(arguments).map(OsString::from);
    Config::load(arguments, |name| {
        environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into())
    })
}

fn config(arguments: &[&str], environment: &[(&str, &str)]) -> Config {
    match load(arguments, environment) {
        Ok(Invocation::Serve(config)) => *config,
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let config = config(&[], &[("PORT", ""), ("USE_TLS", ""), ("SSL_CERT_PATH", ""), ("DATA_PATH", "")]);
    assert_eq!(config.listen.to_string(), "0.0.0.0:8443");
    assert_eq!(config.metrics_listen, ["0.0.0.0:9091".parse().unwrap()]);
    assert_eq!(config.data_path, PathBuf::from("./data"));
    assert_eq!(config.log, "info");
    assert!(config.warn_plain);
    assert_eq!(config.limits, Limits::default());
}

#[test]
fn environment_over_default_and_flag_over_environment() {
    let environment = [("PORT", "1"), ("DATA_PATH", "/a"), ("USE_TLS", "false"), ("RUST_LOG", "debug")];
    let by_environment = config(&[], &environment);
    assert_eq!(by_environment.listen.to_string(), "0.0.0.0:1");
    assert_eq!(by_environment.data_path, PathBuf::from("/a"));
    assert_eq!(by_environment.log, "debug");
    assert!(!by_environment.warn_plain);

    let flags = ["--port", "3", "--metrics-port", "4", "--data-path", "/b", "--listen", "::1", "--max-days", "5"];
    let by_flag = config(&flags, &environment);
    assert_eq!(by_flag.listen.to_string(), "[::1]:3");
    assert_eq!(by_flag.metrics_listen, ["0.0.0.0:4".parse().unwrap()]);
    assert_eq!(by_flag.data_path, PathBuf::from("/b"));
    assert_eq!(by_flag.limits.days, 5);

    let listen = ["--metrics-listen", "127.0.0.1:5", "--metrics-listen", "[::1]:6", "--use-tls=false"];
    let replaced = config(&listen, &[("USE_TLS", "true")]);
    assert_eq!(replaced.metrics_listen, ["127.0.0.1:5".parse().unwrap(), "[::1]:6".parse().unwrap()]);
}

#[test]
fn errors_name_the_flag_or_the_variable() {
    let check = |arguments: &[&str], environment: &[(&str, &str)], expected: &[&str]| {
        let error = load(arguments, environment).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{arguments:?} {environment:?}: {error}");
        }
    };
    check(&["--port", "x"], &[("PORT", "1")], &["--port", "\"x\"", "65535"]);
    check(&[], &[("PORT", "65536")], &["error: PORT: ", "\"65536\""]);
    check(&["--metrics-port=-1"], &[], &["error: --metrics-port (METRICS_PORT): ", "\"-1\""]);
    check(&["--metrics-listen", "9090"], &[], &["--metrics-listen", "\"9090\"", "HOST:PORT"]);
    check(&["--metrics-listen", "unix:/run/x,mode=rw"], &[], &["--metrics-listen", "not an octal number"]);
    check(&["--listen", "0.0.0.0:80"], &[], &["--listen", "\"0.0.0.0:80\""]);
    check(&["--listen", ""], &[], &["--listen"]);
    check(&["--data-path", ""], &[], &["--data-path", "empty"]);
    check(&[], &[("USE_TLS", "maybe")], &["error: USE_TLS: ", "\"maybe\"", "true", "false"]);
    check(&[], &[("RUST_LOG", "=x=y=")], &["error: RUST_LOG: ", "\"=x=y=\""]);
    check(&["--max-days", "0"], &[], &["--max-days", "\"0\""]);
    check(&["--frobnicate"], &[], &["--frobnicate"]);
    check(&["--metrics-user", "prometheus"], &[], &["--metrics-user", "needs --metrics-password-file"]);
}

#[test]
fn tls_is_refused_until_it_is_there() {
    let check = |arguments: &[&str], environment: &[(&str, &str)], by: &str| {
        let error = load(arguments, environment).unwrap_err().to_string();
        assert!(error.starts_with(&format!("error: {by}: ")), "{error}");
        assert!(error.contains("does not speak TLS yet") && error.contains("USE_TLS=false"), "{error}");
    };
    check(&["--use-tls"], &[], "--use-tls");
    check(&["--use-tls=true"], &[("USE_TLS", "false")], "--use-tls");
    check(&[], &[("USE_TLS", "TRUE")], "USE_TLS");
    check(&[], &[("SSL_CERT_PATH", "a.crt")], "SSL_CERT_PATH");
    check(&["--ssl-private-file", "a.key"], &[], "--ssl-private-file");
    // Said to be meant: the certificate is left over.
    assert!(!config(&[], &[("USE_TLS", "false"), ("SSL_CERT_PATH", "a.crt")]).warn_plain);
}

#[test]
fn prints_what_is_in_effect() {
    let Ok(Invocation::Print(text)) = load(&["--print-config", "--port", "7"], &[("DATA_PATH", "/a")]) else {
        panic!("nothing printed")
    };
    let printed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(printed["listen"], "0.0.0.0:7");
    assert_eq!(printed["data_path"], "/a");
    assert_eq!(printed["limits"]["days"], 366);
    let Ok(Invocation::Print(help)) = load(&["--help"], &[]) else { panic!("no help") };
    for name in ["--port", "PORT", "METRICS_PORT", "DATA_PATH", "USE_TLS", "SSL_CERT_PATH", "Examples:"] {
        assert!(help.contains(name), "{name}");
    }
    assert!(load(&["--print-config", "--port", "x"], &[]).is_err(), "a bad configuration is not printed");
}
