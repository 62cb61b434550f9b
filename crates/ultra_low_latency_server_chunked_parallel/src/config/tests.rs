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
    assert_eq!(config.listen[0].to_string(), "0.0.0.0:8443");
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
    assert_eq!(by_environment.listen[0].to_string(), "0.0.0.0:1");
    assert_eq!(by_environment.data_path, PathBuf::from("/a"));
    assert_eq!(by_environment.log, "debug");
    assert!(!by_environment.warn_plain);

    let flags = ["--port", "3", "--metrics-port", "4", "--data-path", "/b", "--listen", "::1", "--max-days", "5"];
    let by_flag = config(&flags, &environment);
    assert_eq!(by_flag.listen[0].to_string(), "[::1]:3");
    assert_eq!(by_flag.metrics_listen, ["0.0.0.0:4".parse().unwrap()]);
    assert_eq!(by_flag.data_path, PathBuf::from("/b"));
    assert_eq!(by_flag.limits.days, 5);
    let limits = ["--max-rows=1", "--max-files=2", "--max-gaps=3", "--max-stream-clients=4", "--stream-poll-ms=5"];
    let limits = config(&limits, &environment).limits;
    assert_eq!((limits.rows, limits.files, limits.api.gaps), (1, 2, 3));
    assert_eq!((limits.api.stream_clients, limits.api.stream_poll_ms), (4, 5));

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
    check(&["--max-stream-clients", "many"], &[], &["--max-stream-clients", "\"many\""]);
    check(&["--frobnicate"], &[], &["--frobnicate"]);
    check(&["--metrics-user", "prometheus"], &[], &["--metrics-user", "needs --metrics-password-file"]);
}

#[test]
fn tls_is_what_the_flags_and_variables_say() {
    let load = |arguments: &[&str], environment: &[(&str, &str)]| {
        let arguments = ["server"].iter().chain(arguments).map(OsString::from);
        let environment =
            |name: &str| environment.iter().find(|(variable, _)| *variable == name).map(|(_, value)| value.into());
        let arguments = Arguments::try_parse_from(arguments).unwrap();
        tls::data_tls(&arguments, &environment)
    };
    let files = [("SSL_CERT_PATH", "a.crt"), ("SSL_PRIVATE_FILE", "a.key")];
    let of_files = DataTls::Files { cert: "a.crt".into(), key: "a.key".into() };
    assert_eq!(load(&[], &[]).unwrap(), (DataTls::Plain, true));
    assert_eq!(load(&[], &[("USE_TLS", "false"), files[0]]).unwrap(), (DataTls::Plain, false));
    assert_eq!(load(&[], &files).unwrap(), (of_files.clone(), false));
    assert_eq!(load(&["--use-tls"], &[("USE_TLS", "false"), files[0], files[1]]).unwrap(), (of_files.clone(), false));
    assert_eq!(load(&["--ssl-cert-path", "a.crt", "--ssl-private-file", "a.key"], &[]).unwrap(), (of_files, false));
    assert_eq!(load(&["--tls-self-signed"], &[("USE_TLS", "true")]).unwrap(), (DataTls::SelfSigned, false));
    let refused = |arguments: &[&str], environment: &[(&str, &str)], by: &str| {
        let error = load(arguments, environment).unwrap_err().to_string();
        assert!(error.starts_with(&format!("error: {by}: ")), "{error}");
        error
    };
    let error = refused(&[], &[("USE_TLS", "TRUE")], "USE_TLS");
    assert!(error.contains("--tls-self-signed") && error.contains("openssl req"), "{error}");
    refused(&["--use-tls=true"], &[("USE_TLS", "false")], "--use-tls");
    refused(&[], &files[..1], "SSL_CERT_PATH");
    refused(&[], &files[1..], "SSL_PRIVATE_FILE");
    refused(&["--tls-self-signed"], &files, "--tls-self-signed");
}

#[test]
fn listeners_origins_and_tokens() {
    let config = config(
        &["--data-listen", "127.0.0.1:1", "--data-listen", "unix:/run/a.sock", "--cors-origin", "https://a.example"],
        &[("DATA_LISTEN", "systemd"), ("CORS_ORIGINS", "https://b.example https://c.example")],
    );
    assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap(), "unix:/run/a.sock".parse().unwrap()]);
    assert_eq!(config.cors_origins, ["https://a.example"]);
    let environment = [("DATA_LISTEN", "systemd [::1]:2"), ("CORS_ORIGINS", "https://b.example *")];
    let config = self::config(&[], &environment);
    assert_eq!(config.listen, ["systemd".parse().unwrap(), "[::1]:2".parse().unwrap()]);
    assert_eq!(config.cors_origins, [""; 0]);
    for (flag, value) in [("--data-listen", "nowhere"), ("--cors-origin", "a.example")] {
        let error = load(&[flag, value], &[]).unwrap_err().to_string();
        assert!(error.contains(flag) && error.contains(value), "{error}");
    }
    let error = load(&["--bearer-tokens-file", "/nowhere"], &[]).unwrap_err().to_string();
    assert!(error.contains("/nowhere"), "{error}");
}

#[test]
fn prints_what_is_in_effect() {
    let Ok(Invocation::Print(text)) = load(&["--print-config", "--port", "7"], &[("DATA_PATH", "/a")]) else {
        panic!("nothing printed")
    };
    let printed: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(printed["listen"][0], "0.0.0.0:7");
    assert_eq!(printed["tls"], "plain");
    assert_eq!(printed["data_path"], "/a");
    assert_eq!(printed["limits"]["days"], 366);
    let Ok(Invocation::Print(help)) = load(&["--help"], &[]) else { panic!("no help") };
    for name in ["--port", "PORT", "METRICS_PORT", "DATA_PATH", "USE_TLS", "SSL_CERT_PATH", "Examples:"] {
        assert!(help.contains(name), "{name}");
    }
    assert!(load(&["--print-config", "--port", "x"], &[]).is_err(), "a bad configuration is not printed");
}
