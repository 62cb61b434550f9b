use super::*;
use crate::registry::Registry;
use http_body_util::BodyExt;

async fn scrape(scraper: &Scraper, query: Option<&str>) -> ScrapeBody {
    let request = scraper.request(&HeaderMap::new(), query, Version::HTTP_11).unwrap();
    scraper.scrape(request).await.unwrap().body
}

async fn read(body: ScrapeBody) -> String {
    String::from_utf8(BodyExt::collect(body).await.unwrap().to_bytes().to_vec()).unwrap()
}

/// The size of the last exposition that was encoded to its end; 0 if there is none.
async fn last_size(scraper: &Scraper) -> f64 {
    let text = read(scrape(scraper, Some("name[]=metrics_server_scrape_size_bytes")).await).await;
    let sample = text.lines().find_map(|line| line.strip_prefix("metrics_server_scrape_size_bytes "));
    sample.unwrap_or_else(|| panic!("not in {text}")).parse().unwrap()
}

/// A client that does not read makes nobody encode, however many turns there are.
#[tokio::test]
async fn nothing_is_encoded_ahead_of_the_reader() {
    let mut registry = Registry::new();
    let bulk = registry.counter("bulk", "Makes it long").labels(["series"]).cap(50_000).register().unwrap();
    for series in 0..40_000 {
        bulk.with([&series.to_string()]).inc();
    }
    let scraper = Scraper::new(Exposition::new(registry), 4);
    let unread = scrape(&scraper, None).await;
    assert!(!unread.is_length_known(), "more than one go");
    for _ in 0..300 {
        assert_eq!(last_size(&scraper).await, 0.0);
    }
    let text = read(unread).await;
    assert_eq!(text.lines().filter(|line| line.starts_with("bulk_total{")).count(), 40_000);
    assert_eq!(last_size(&scraper).await, text.len() as f64);
}
