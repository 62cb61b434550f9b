//! What a program lays around its endpoint is behind the credentials.

use crate::fixture::Fixture;
use crate::running::{bcrypt, curl, written};
use metrics_server::{Endpoint, Exposition, Health, ProgramRoutes, Registry, Security};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use warp::Filter;

#[tokio::test]
async fn what_is_refused_reaches_neither_layers_nor_routes() {
    let fixture = Fixture::new();
    let source = written(fixture.directory.path(), &format!("basic_auth_users:\n  alice: {}\n", bcrypt("secret", 4)));
    let mut registry = Registry::new();
    let security = Security::start(source, &mut registry).await.unwrap();
    let layered = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&layered);
    let endpoint = Endpoint::builder(Exposition::new(registry), Health::new("test"))
        .listen("127.0.0.1:0".parse().unwrap())
        .routes(ProgramRoutes::new(warp::service(warp::path!("route").map(|| "ours"))))
        .security(security)
        .layer(move |service| {
            let seen = Arc::clone(&seen);
            BoxCloneSyncService::new(service.map_request(move |request| {
                seen.fetch_add(1, Ordering::SeqCst);
                request
            }))
        })
        .bind()
        .await
        .unwrap();
    let (address, stop) = (endpoint.local_addrs()[0], CancellationToken::new());
    let _stop = stop.clone().drop_guard();
    tokio::spawn(endpoint.serve(stop));
    for (path, user, status, expected) in [
        ("/route", "alice:wrong", 401, 0),
        ("/none", "alice:wrong", 401, 0),
        ("/metrics", "alice:wrong", 401, 0),
        ("/route", "alice:secret", 200, 1),
        ("/none", "alice:secret", 404, 2),
    ] {
        let answer = curl(&format!("http://{address}{path}"), &["-u", user]).await.unwrap();
        assert_eq!((answer.status, layered.load(Ordering::SeqCst)), (status, expected), "{path} {user}");
    }
}
