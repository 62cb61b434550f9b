//! The simple flags.

use crate::fixture::Fixture;
use crate::running::{curl, start};
use metrics_server::MetricsArgs;

#[tokio::test]
async fn certificate_and_user_come_from_flags() {
    let fixture = Fixture::new();
    fixture.write("password", "correct horse\n");
    let path = |name: &str| Some(fixture.path(name).into());
    let tls =
        MetricsArgs { metrics_tls_cert: path("cert.pem"), metrics_tls_key: path("key.pem"), ..MetricsArgs::default() };
    let user = MetricsArgs {
        metrics_user: Some("alice".to_owned()),
        metrics_password_file: path("password"),
        ..MetricsArgs::default()
    };
    let both = MetricsArgs { metrics_user: user.metrics_user.clone(), ..tls.clone() };
    let both = MetricsArgs { metrics_password_file: path("password"), ..both };
    for (args, has_tls, has_user) in
        [(MetricsArgs::default(), false, false), (tls, true, false), (user, false, true), (both, true, true)]
    {
        let running = start(args.security().unwrap()).await.unwrap();
        let https = curl(&format!("https://{}/health", running.address), &["--cacert", &fixture.path("ca.pem")]).await;
        assert_eq!(https.is_ok_and(|answer| answer.status == 200), has_tls, "{args:?}");
        let expected = if has_user { [200, 401, 401] } else { [200, 200, 200] };
        let statuses = [
            running.status("/metrics", &["-u", "alice:correct horse"]).await,
            running.status("/metrics", &["-u", "alice:battery"]).await,
            running.status("/metrics", &[]).await,
        ];
        assert_eq!(statuses, expected, "{args:?}");
    }
}
