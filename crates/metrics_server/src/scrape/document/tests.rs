use super::*;
use crate::limits::Limits;
use crate::scrape::ScrapeBody;
use crate::serve::{http_bind, http_serve};
use http::Response;
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Longer than any wait here takes.
const LONG: Duration = Duration::from_secs(30);

fn document() -> Arc<Document> {
    let mut registry = prometheus_client::registry::Registry::default();
    Document::new(ScrapeMetrics::register(&mut registry))
}

fn later() -> Instant {
    Instant::now() + LONG
}

fn piece(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

async fn next(reader: &Membership) -> Option<Result<Piece, BodyError>> {
    timeout(LONG, std::future::poll_fn(|cx| reader.poll_piece(cx))).await.expect("comes in time")
}

async fn is_pending(reader: &Membership) -> bool {
    let polled = std::future::poll_fn(|cx| Poll::Ready(reader.poll_piece(cx).is_pending()));
    polled.await
}

fn kept(document: &Document) -> usize {
    document.state().pieces.iter().map(|(piece, _)| piece.len()).sum()
}

#[tokio::test]
async fn pieces_are_kept_until_the_last_reader_has_them() {
    let document = document();
    let (fast, slow, gone) = (document.join(later()), document.join(later()), document.join(later()));
    document.publish(vec![piece(10), piece(20)], false);
    assert_eq!((fast.begun().await, kept(&document)), (Ok(None), 30));
    assert_eq!(next(&fast).await.unwrap().unwrap().bytes.len(), 10);
    assert_eq!(next(&slow).await.unwrap().unwrap().bytes.len(), 10);
    assert_eq!(kept(&document), 30, "one has not read it");
    drop(gone);
    assert_eq!(kept(&document), 20);
    document.publish(vec![piece(30)], true);
    for reader in [fast, slow] {
        let mut is_last = false;
        for length in [20, 30] {
            let piece = next(&reader).await.unwrap().unwrap();
            assert!(piece.bytes.len() == length && !is_last);
            is_last = piece.is_last;
        }
        assert!(is_last && next(&reader).await.is_none());
    }
    assert_eq!(kept(&document), 0);
    assert!(document.is_deserted());
}

#[tokio::test]
async fn only_the_fastest_reader_causes_more() {
    let document = document();
    let (fast, slow) = (document.join(later()), document.join(later()));
    document.publish(vec![piece(10)], false);
    assert!(next(&slow).await.unwrap().is_ok());
    let is_wanted = || timeout(Duration::ZERO, document.wanted.notified());
    is_wanted().await.unwrap_err();
    assert!(is_pending(&slow).await);
    is_wanted().await.expect("the slow one is the fastest so far");
    assert!(next(&fast).await.unwrap().is_ok());
    assert!(is_pending(&fast).await);
    is_wanted().await.expect_err("asked for once");
}

#[tokio::test]
async fn a_reader_too_far_behind_is_cut_and_what_it_held_is_dropped() {
    let document = document();
    let (fast, stalled) = (document.join(later()), document.join(later()));
    let window = usize::try_from(BEHIND_BYTES_MAX).unwrap();
    document.publish(vec![piece(window)], false);
    assert!(next(&fast).await.unwrap().is_ok());
    assert_eq!(kept(&document), window, "exactly as far as allowed");
    document.publish(vec![piece(1)], false);
    assert_eq!(kept(&document), window + 1, "not by what nobody has taken yet");
    assert!(next(&fast).await.unwrap().is_ok());
    document.publish(vec![piece(1)], false);
    assert_eq!(kept(&document), 1);
    assert_eq!(next(&stalled).await.unwrap().unwrap_err(), BodyError::Behind);
    assert!(next(&fast).await.unwrap().is_ok());
    drop(stalled);
    assert!(!document.is_deserted(), "counted once");
    // Alone, it holds up nobody: it is waited for.
    document.publish(vec![piece(window), piece(window)], false);
    assert!(next(&fast).await.unwrap().is_ok());
}

#[tokio::test]
async fn readers_are_cut_when_their_time_is_over() {
    let document = document();
    let (short, long) = (document.join(Instant::now() + Duration::from_millis(20)), document.join(later()));
    assert!(is_pending(&short).await);
    let waiting = async { next(&short).await.unwrap().unwrap_err() };
    let error = document.while_read(waiting).await.unwrap();
    assert_eq!(error, BodyError::Deadline);
    // An old notice of desertion, from before somebody joined, ends nothing.
    drop(long);
    let joined = document.join(later());
    let ready = async {
        tokio::task::yield_now().await;
        7
    };
    assert_eq!(document.while_read(ready).await, Some(7));
    drop(joined);
    assert_eq!(document.while_read(std::future::pending::<()>()).await, None);
}

#[tokio::test]
async fn a_failure_is_told_before_the_first_byte_and_after() {
    let document = document();
    let (reader, late) = (document.join(later()), document.join(later()));
    document.publish(vec![piece(10)], false);
    document.fail();
    assert_eq!(late.begun().await, Err(BodyError::Encode));
    assert!(next(&reader).await.unwrap().is_ok());
    assert_eq!(next(&reader).await.unwrap().unwrap_err(), BodyError::Encode);
}

/// What a client sees of a document that fails after its first bytes.
#[tokio::test]
async fn a_document_without_an_end_closes_the_connection_without_one() {
    let document = document();
    let reader = document.join(later());
    document.publish(vec![Bytes::from_static(b"up 1\n")], false);
    let body = Arc::new(Mutex::new(Some(ScrapeBody::new(reader, None))));
    let listener = http_bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = tower::service_fn(move |_| {
        let body = body.lock().unwrap().take().unwrap();
        async move { Ok::<_, Infallible>(Response::new(body)) }
    });
    tokio::spawn(async move { http_serve(listener, service, &Limits::default(), (), CancellationToken::new()).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n").await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"5\r\nup 1\n\r\n") {
        assert_ne!(timeout(LONG, stream.read_buf(&mut received)).await.unwrap().unwrap(), 0);
    }
    document.fail();
    let ended = timeout(LONG, stream.read_to_end(&mut received)).await.unwrap();
    assert!(ended.is_err() || !received.ends_with(b"0\r\n\r\n"), "must not look whole");
}
