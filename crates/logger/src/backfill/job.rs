//! A question on its way through the pages of its answer.

use std::collections::HashSet;

use exchange_protocol::{Answer, Event, Missing, Page, Request, Rest, RestError, RestFacts};
use tokio::time::Instant;

use super::Question;
use crate::received::{self, Fact, TradeFact};

/// Pages of one question at most; what is missing beyond them is asked for again.
const MOST_PAGES: u64 = 10_000;
/// Pages more than the ids need: those of other trades, where pages are asked for by time.
const SPARE_PAGES: u64 = 16;
/// Pages one after another that bring nothing new.
const BARREN_PAGES: u32 = 16;
/// How many questions that came later go before the next page of one that has had a page.
const STEP_BACK: u64 = 8;

/// A question that waits for its next page.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) question: Question,
    pub(super) symbol: String,
    /// The next page.
    pub(super) request: Request,
    /// Pages that the venue had served when this came.
    came_at: u64,
    pages: u64,
    barren: u32,
    /// Failures of the next page.
    pub(super) attempts: u32,
    pub(super) not_before: Instant,
    /// When it came, or its last page.
    pub(super) served: Instant,
    /// Ids of the last page: pages may overlap.
    previous: HashSet<u64>,
    newest: u64,
}

/// What a page brought.
#[derive(Debug)]
pub(super) struct Read {
    /// Those that the page before did not have.
    pub(super) trades: Vec<TradeFact>,
    /// How many of their decimals an `f64` cannot give back.
    pub(super) inexact: u64,
    pub(super) next: Result<Next, RestError>,
}

/// What is to be done after a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The job stands at its next page.
    Page,
    /// That was all.
    Done,
    /// The venue leads nowhere.
    Lost,
}

impl Job {
    /// None if the venue cannot be asked so.
    pub(super) fn new(question: Question, symbol: &str, rest: &dyn Rest, came_at: u64) -> Option<Job> {
        let missing = Missing { symbol, ids: question.ids, times: question.times };
        let request = rest.trades(&missing)?;
        Some(Job {
            symbol: symbol.to_owned(),
            question,
            request,
            came_at,
            pages: 0,
            barren: 0,
            attempts: 0,
            not_before: Instant::now(),
            served: Instant::now(),
            previous: HashSet::new(),
            newest: 0,
        })
    }

    /// Who has the lowest is next: small questions pass long ones, which still go on while small ones keep coming.
    pub(super) fn rank(&self) -> (u64, u64) {
        (self.came_at.saturating_add(self.pages.saturating_mul(STEP_BACK)), self.question.number)
    }

    /// Reads the page that was asked for, and turns to the next.
    pub(super) fn read(&mut self, rest: &dyn Rest, answer: &Answer<'_>) -> Read {
        let mut ids = HashSet::new();
        let mut read = Read { trades: Vec::new(), inexact: 0, next: Ok(Next::Done) };
        let missing = Missing { symbol: &self.symbol, ids: self.question.ids, times: self.question.times };
        let page = rest.read_trades(&missing, &self.request, answer, &mut |trade| {
            self.newest = self.newest.max(trade.id);
            if !ids.insert(trade.id) || self.previous.contains(&trade.id) {
                return;
            }
            if let Some((_, Fact::Trade(fact), inexact)) = received::to_record(&Event::Trade(trade)) {
                read.trades.push(fact);
                read.inexact += inexact;
            }
        });
        read.next = page.map(|page| {
            self.attempts = 0;
            self.pages += 1;
            self.barren = if read.trades.is_empty() { self.barren + 1 } else { 0 };
            self.previous = ids;
            self.turn(page, rest.facts())
        });
        read
    }

    fn turn(&mut self, page: Page, facts: &RestFacts) -> Next {
        match page {
            Page::Last => Next::Done,
            Page::More(next) => {
                let repeats = next.target == self.request.target;
                self.request = next;
                let leads_on = !repeats && self.barren < BARREN_PAGES && self.pages < self.most_pages(facts);
                if leads_on { Next::Page } else { Next::Lost }
            }
        }
    }

    /// Pages that the ids can need. Twice as many: a page may be half full.
    fn most_pages(&self, facts: &RestFacts) -> u64 {
        let Some((first, last)) = self.question.ids else { return MOST_PAGES };
        let last = if last == u64::MAX { self.newest } else { last };
        let full = last.saturating_sub(first) / facts.page_limit.max(1) + 1;
        full.saturating_mul(2).saturating_add(SPARE_PAGES).min(MOST_PAGES)
    }
}

#[cfg(test)]
mod tests {

    use super::*;

    fn rest(exchange: &str) -> &'static dyn Rest {
        exchange_protocol::venue(exchange).unwrap().rest()
    }

    fn job(exchange: &str, ids: Option<(u64, u64)>) -> Job {
        let question = Question { number: 1, symbol: 0, ids, times: (0, u64::MAX) };
        Job::new(question, "tBTCUSD", rest(exchange), 0).unwrap()
    }

    /// Reads a page: how many trades it brought, and what follows.
    fn read(job: &mut Job, exchange: &str, body: &str) -> (usize, Next) {
        let read = job.read(rest(exchange), &Answer { status: 200, retry_after: None, body: body.as_bytes() });
        (read.trades.len(), read.next.unwrap())
    }

    /// A page of Bitfinex: ids, and the millisecond of the last one.
    fn bitfinex(ids: std::ops::Range<u64>, last_ms: u64) -> String {
        let end = ids.end;
        let rows: Vec<String> = ids.map(|id| format!("[{id},{},0.1,2]", last_ms - (end - 1 - id) / 100)).collect();
        format!("[{}]", rows.join(","))
    }

    /// A page of Kraken.
    fn kraken(ids: std::ops::Range<u64>, last: u64) -> String {
        let rows: Vec<String> = ids.map(|id| format!(r#"["1.0","2.0",1700000000.1,"b","l","",{id}]"#)).collect();
        format!(r#"{{"error":[],"result":{{"XXBTZUSD":[{}],"last":"{last}"}}}}"#, rows.join(","))
    }

    #[test]
    fn trades_at_the_seam_of_two_pages_come_once() {
        let mut job = job("bitfinex", None);
        let start_ms = 1_700_000_000_000;
        assert_eq!(read(&mut job, "bitfinex", &bitfinex(0..10_000, start_ms)), (10_000, Next::Page));
        assert!(job.request.target.contains(&format!("start={start_ms}")), "{}", job.request.target);
        assert_eq!(read(&mut job, "bitfinex", &bitfinex(9_900..10_300, start_ms + 3)), (300, Next::Done));
    }

    #[test]
    fn a_seam_that_brings_nothing_new_is_the_end_and_no_mistake() {
        let mut job = job("bitfinex", None);
        assert_eq!(read(&mut job, "bitfinex", &bitfinex(0..10_000, 1_700_000_000_000)), (10_000, Next::Page));
        assert_eq!(read(&mut job, "bitfinex", &bitfinex(9_900..10_000, 1_700_000_000_000)), (0, Next::Done));
    }

    #[test]
    fn pages_that_bring_nothing_new_are_not_followed_for_ever() {
        let mut job = job("kraken", Some((1, 1_000_000)));
        let mut pages = 0;
        loop {
            pages += 1;
            let (brought, next) = read(&mut job, "kraken", &kraken(100..200, 1_700_000_000_000_000_000 + pages));
            assert_eq!(brought, if pages == 1 { 100 } else { 0 });
            if next != Next::Page {
                assert_eq!((pages, next), (u64::from(BARREN_PAGES) + 1, Next::Lost));
                break;
            }
        }
    }

    #[test]
    fn there_are_no_more_pages_than_the_ids_can_need() {
        let pages = |ids: Option<(u64, u64)>, each: u64| {
            let mut job = job("kraken", ids);
            (1..).find(|page| {
                let from = 1 + (page - 1) * each;
                let body = kraken(from..from + each, 1_700_000_000_000_000_000 + page);
                read(&mut job, "kraken", &body).1 != Next::Page
            })
        };
        // One at a time of what two pages hold, and up to the newest of what there is.
        assert_eq!(pages(Some((1, 1_500)), 1), Some(2 * 2 + SPARE_PAGES));
        assert_eq!(pages(Some((1, u64::MAX)), 1), Some(2 + SPARE_PAGES));
        assert_eq!(pages(Some((1, 40_000)), 1_000), Some(40), "full pages are followed to the end");
        assert_eq!(pages(None, 1), Some(MOST_PAGES));
    }

    #[test]
    fn long_questions_step_back_and_go_on() {
        let (mut long, late) = (job("kraken", None), Job { came_at: 5, ..job("kraken", None) });
        assert!(long.rank() < late.rank(), "who came first is first");
        long.pages = 1;
        assert!(long.rank() > late.rank());
        assert!(long.rank() < Job { came_at: 9, ..late }.rank(), "those who come later do not pass it for ever");
    }
}
