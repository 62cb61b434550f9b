use super::*;
use crate::registry::Registry;
use http_body_util::BodyExt;
use std::collections::VecDeque;
use tokio::time::interval;

const DEADLINE: Duration = Duration::from_secs(30);

/// Of the last exposition that was encoded to its end; 0 if there is none.
const SIZE: &str = "metrics_server_scrape_size_bytes";

async fn scrape(scraper: &Scraper, query: Option<&str>) -> ScrapeBody {
    let request = scraper.request(&HeaderMap::new(), query, Version::HTTP_11).unwrap();
    scraper.scrape(request).await.unwrap().body
}

async fn read(body: ScrapeBody) -> String {
    String::from_utf8(BodyExt::collect(body).await.unwrap().to_bytes().to_vec()).unwrap()
}

/// An exposition that takes more than one go.
fn long() -> Exposition {
    let mut registry = Registry::new();
    let bulk = registry.counter("bulk", "Makes it long").labels(["series"]).cap(50_000).register().unwrap();
    for series in 0..40_000 {
        bulk.with([&series.to_string()]).inc();
    }
    Exposition::new(registry)
}

async fn value(scraper: &Scraper, name: &str, series: &str) -> f64 {
    let text = read(scrape(scraper, Some(&format!("name[]={name}"))).await).await;
    let sample = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    sample.unwrap_or_else(|| panic!("not in {text}")).parse().unwrap()
}

/// Asks until there is an answer.
async fn eventually<T>(mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let (deadline, mut pause) = (Instant::now() + DEADLINE, interval(Duration::from_millis(5)));
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "not before the deadline");
        pause.tick().await;
    }
}

async fn scrape_by_http_1_0(scraper: &Scraper, timeout: &str) -> Result<ScrapeBody, ScrapeError> {
    let headers = [(timeout::TIMEOUT_HEADER.parse().unwrap(), timeout.parse().unwrap())].into_iter().collect();
    let request = scraper.request(&headers, None, Version::HTTP_10).unwrap();
    Ok(scraper.scrape(request).await?.body)
}

/// Collected for HTTP/1.0, an exposition once stayed in memory for as long as its client liked.
#[tokio::test]
async fn a_collected_exposition_has_the_deadline_of_its_scrape() {
    let scraper = Scraper::new(long(), 4);
    let unread = scrape_by_http_1_0(&scraper, "4").await.unwrap();
    assert!(unread.is_length_known());
    eventually(async || {
        let series = "metrics_server_scrapes_cut_total{reason=\"deadline\"}";
        let cut = value(&scraper, "metrics_server_scrapes_cut", series).await;
        (cut == 1.0).then_some(())
    })
    .await;
    assert_eq!(BodyExt::collect(unread).await.unwrap_err(), BodyError::Deadline);
}

#[tokio::test]
async fn expositions_are_collected_for_a_few_clients_only() {
    let scraper = Scraper::new(long(), 4);
    let mut unread = Vec::new();
    for _ in 0..HTTP_1_0_DOCUMENTS_MAX {
        unread.push(scrape_by_http_1_0(&scraper, "300").await.unwrap());
    }
    assert!(matches!(scrape_by_http_1_0(&scraper, "300").await, Err(ScrapeError::Busy)));
    assert!(read(scrape(&scraper, None).await).await.contains("bulk_total{"), "others are served");
    unread.pop();
    let body = eventually(async || scrape_by_http_1_0(&scraper, "300").await.ok()).await;
    assert!(read(body).await.contains("bulk_total{"));
}

/// Each with names of its own, the streams of a few hundred connections once kept thousands of documents alive.
#[tokio::test]
async fn the_oldest_document_makes_room_for_a_new_one() {
    let places = 4;
    let scraper = Scraper::new(Exposition::new(Registry::new()), places);
    let ask = async |name: usize| {
        scrape(&scraper, Some(&format!("name[]=metrics_server_scrapes_cut&name[]=junk_{name}"))).await
    };
    let mut unread = VecDeque::new();
    for name in 0..places + DOCUMENTS_READ_MAX {
        unread.push_back(ask(name).await);
    }
    let newest = ask(usize::MAX).await;
    assert_eq!(BodyExt::collect(unread.pop_front().unwrap()).await.unwrap_err(), BodyError::Room);
    // Who has read gives room as well.
    for (body, cut) in [(unread.pop_back().unwrap(), 0), (newest, 1)] {
        let text = read(body).await;
        assert!(text.contains(&format!("metrics_server_scrapes_cut_total{{reason=\"room\"}} {cut}")), "{text}");
    }
    for _ in 0..2 {
        unread.push_back(ask(usize::MAX).await);
    }
    for body in unread {
        read(body).await;
    }
    let series = "metrics_server_scrapes_cut_total{reason=\"room\"}";
    assert_eq!(value(&scraper, "metrics_server_scrapes_cut", series).await, 1.0);
}

/// A client that does not read makes nobody encode, however many turns there are.
#[tokio::test]
async fn nothing_is_encoded_ahead_of_the_reader() {
    let scraper = Scraper::new(long(), 4);
    let unread = scrape(&scraper, None).await;
    assert!(!unread.is_length_known(), "more than one go");
    for _ in 0..300 {
        assert_eq!(value(&scraper, SIZE, SIZE).await, 0.0);
    }
    let text = read(unread).await;
    assert_eq!(text.lines().filter(|line| line.starts_with("bulk_total{")).count(), 40_000);
    assert_eq!(value(&scraper, SIZE, SIZE).await, text.len() as f64);
}
