//! Listings and backfill: requests out, answers in.

use std::time::Duration;

use exchange_protocol::{Answer, BackfillBy, Missing, Page, Request, Rest, RestError};

use super::*;

fn rest(exchange: &str) -> &'static dyn Rest {
    venue(exchange).unwrap().rest()
}

fn answer(body: &str) -> Answer<'_> {
    Answer { status: 200, retry_after: None, body: body.as_bytes() }
}

/// The instruments in lines.
fn instruments(exchange: &str, body: &str) -> Vec<String> {
    let size = |size: Option<exchange_protocol::Decimal>| size.map_or("?".to_owned(), |size| size.value.to_string());
    let listed = rest(exchange).read_instruments(&answer(body)).unwrap();
    let lines = listed.iter().map(|listed| {
        let (tick, lot) = (size(listed.tick_size), size(listed.lot_size));
        format!("{} {}|{} {tick} {lot} {:?}", listed.symbol, listed.base, listed.quote, listed.status)
    });
    lines.collect()
}

/// Asks for the first page, reads `body` as its answer: the targets of both pages, and the trades in lines.
fn page(exchange: &str, missing: &Missing<'_>, body: &str) -> (String, Option<String>, Vec<String>) {
    let rest = rest(exchange);
    let request = rest.trades(missing).unwrap();
    let mut trades = Vec::new();
    let next = rest.read_trades(missing, &request, &answer(body), &mut |trade| trades.push(line(&Event::Trade(trade))));
    let next = match next.unwrap() {
        Page::More(request) => Some(request.target),
        Page::Last => None,
    };
    (request.target, next, trades)
}

fn by_ids(symbol: &str, first: u64, last: u64) -> Missing<'_> {
    Missing { symbol, ids: Some((first, last)), times: (0, u64::MAX) }
}

#[test]
fn coinbase() {
    let body = r#"[{"id":"BTC-USD","base_currency":"BTC","quote_currency":"USD","base_increment":"0.00000001","quote_increment":"0.01","status":"online","trading_disabled":false,"new":[1]},
        {"id":"A-B","base_currency":"A","quote_currency":"B","base_increment":"1","quote_increment":"1","status":"online","post_only":true},
        {"id":"C-D","base_currency":"C","quote_currency":"D","status":"delisted"}]"#;
    let expected = ["BTC-USD BTC|USD 0.01 0.00000001 Trading", "A-B A|B 1 1 Limited", "C-D C|D ? ? Gone"];
    assert_eq!(instruments("coinbase", body), expected);
    assert_eq!(rest("coinbase").instruments().target, "/products");

    // Newest first; `side` is the maker's.
    let body = r#"[{"trade_id":9,"side":"buy","size":"1","price":"3","time":"2014-11-07T22:19:28Z"},
        {"trade_id":8,"side":"buy","size":"0.01","price":"10.5","time":"2014-11-07T22:19:28.578544Z"},
        {"trade_id":7,"side":"sell","size":"2","price":"11","time":"2014-11-07T01:08:43.642366Z"}]"#;
    let (first, next, trades) = page("coinbase", &by_ids("BTC-USD", 5, 8), body);
    assert_eq!(first, "/products/BTC-USD/trades?limit=1000&after=9");
    assert_eq!(next.as_deref(), Some("/products/BTC-USD/trades?limit=1000&after=7"));
    let expected =
        ["trade BTC-USD 7..7 11x2 Buy @1415322523642366000", "trade BTC-USD 8..8 10.5x0.01 Sell @1415398768578544000"];
    assert_eq!(trades, expected);
    assert_eq!(page("coinbase", &by_ids("BTC-USD", 7, 8), body).1, None, "all there");
    assert_eq!(page("coinbase", &by_ids("BTC-USD", 1, 2), body).1, None, "leads nowhere");
    assert_eq!(page("coinbase", &by_ids("BTC-USD", 1, 2), "[]").1, None);
}

#[test]
fn binance() {
    let body = r#"{"timezone":"UTC","symbols":[{"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[{"filterType":"PRICE_FILTER","minPrice":"0.1","tickSize":"0.00000100"},{"filterType":"LOT_SIZE","stepSize":"0.00100000"},{"filterType":"NEW"}]},
        {"symbol":"X","status":"BREAK","baseAsset":"","quoteAsset":""}]}"#;
    assert_eq!(instruments("binance", body), ["ETHBTC ETH|BTC 0.000001 0.001 Trading", "X | ? ? Limited"]);
    let request = rest("binance").instruments();
    assert_eq!((request.target.as_str(), request.weight), ("/api/v3/exchangeInfo", 20));

    let row = |id: u64, maker: bool| {
        format!(
            r#"{{"id":{id},"price":"4.00000100","qty":"12.5","quoteQty":"48.0","time":1499865549590123,"isBuyerMaker":{maker},"isBestMatch":true}}"#
        )
    };
    let body = format!("[{},{}]", row(28_457, true), row(28_458, false));
    let (first, next, trades) = page("binance", &by_ids("ETHBTC", 28_457, 30_000), &body);
    assert_eq!(first, "/api/v3/historicalTrades?symbol=ETHBTC&fromId=28457&limit=1000");
    assert_eq!(next.as_deref(), Some("/api/v3/historicalTrades?symbol=ETHBTC&fromId=28459&limit=1000"));
    let expected = [
        "trade ETHBTC 28457..28457 4.000001x12.5 Sell @1499865549590123000",
        "trade ETHBTC 28458..28458 4.000001x12.5 Buy @1499865549590123000",
    ];
    assert_eq!(trades, expected);
    let (first, next, trades) = page("binance", &by_ids("ÄBTC", 28_458, 28_458), &body);
    assert_eq!(first, "/api/v3/historicalTrades?symbol=%C3%84BTC&fromId=28458&limit=1");
    assert_eq!((next, trades.len()), (None, 1));
    assert_eq!(page("binance", &by_ids("ETHBTC", 30_000, 40_000), &body).1, None, "leads nowhere");
    let request = rest("binance").trades(&by_ids("ETHBTC", 1, 2)).unwrap();
    assert_eq!((request.weight, request.headers), (25, &[("X-MBX-TIME-UNIT", "MICROSECOND")][..]));
}

#[test]
fn kraken() {
    let body = r#"{"error":[],"result":{"XXBTZUSD":{"altname":"XBTUSD","wsname":"XBT/USD","base":"XXBT","quote":"ZUSD","pair_decimals":1,"lot_decimals":8,"tick_size":"0.1","status":"online"},
        "XDGEUR":{"altname":"XDGEUR","wsname":"XDG/EUR","lot_decimals":0,"status":"cancel_only"},"DARK":{"altname":"DARK"}}}"#;
    let expected = ["DOGE/EUR DOGE|EUR ? 1 Limited", "BTC/USD BTC|USD 0.1 0.00000001 Trading"];
    assert_eq!(instruments("kraken", body), expected);

    let times = (1_688_671_200_000_000_000, 1_688_671_300_000_000_000);
    let body = r#"{"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688671200.1234,"b","m","",61044952],["30243.3","1",1688671299,"s","l","",61044953],["1","1",1688671300.5,"s","l","",61044954]],"last":"1688671300500000000"}}"#;
    let missing = Missing { symbol: "BTC/USD", ids: None, times };
    let (first, next, trades) = page("kraken", &missing, body);
    assert_eq!(first, "/0/public/Trades?pair=XBTUSD&since=1688671199999999999&count=1000");
    let expected = [
        "trade BTC/USD 61044952..61044952 30243.4x0.34507674 Buy @1688671200123400000",
        "trade BTC/USD 61044953..61044953 30243.3x1 Sell @1688671299000000000",
    ];
    assert_eq!((next, trades), (None, expected.map(str::to_owned).to_vec()));
    let missing = Missing { symbol: "DOGE/BTC", ids: Some((61_044_953, 61_044_960)), times };
    let (first, next, trades) = page("kraken", &missing, body);
    assert!(first.contains("pair=XDGXBT&"), "{first}");
    assert_eq!(next.as_deref(), Some("/0/public/Trades?pair=XDGXBT&since=1688671300500000000&count=1000"));
    assert_eq!(trades.len(), 2);
    let standing = body.replace("1688671300500000000", "1688671199999999999");
    assert_eq!(page("kraken", &missing, &standing).1, None, "leads nowhere");
    assert_eq!(page("kraken", &missing, r#"{"error":[],"result":{"X":[],"last":"9999999999999999999"}}"#).1, None);

    for (error, is_limit) in
        [("EGeneral:Too many requests", true), ("EAPI:Rate limit exceeded", true), ("EQuery:Unknown asset pair", false)]
    {
        let body = format!(r#"{{"error":["{error}"]}}"#);
        let refused = rest("kraken").read_instruments(&answer(&body)).unwrap_err();
        assert_eq!(matches!(refused, RestError::RateLimited { .. }), is_limit, "{refused}");
    }
}

#[test]
fn okx() {
    let body = r#"{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","baseCcy":"BTC","quoteCcy":"USDT","tickSz":"0.1","lotSz":"0.00000001","minSz":"0.00001","state":"live","expTime":""},
        {"instId":"NEW-USDT","baseCcy":"NEW","quoteCcy":"USDT","tickSz":"","lotSz":"1","state":"preopen"}]}"#;
    let expected = ["BTC-USDT BTC|USDT 0.1 0.00000001 Trading", "NEW-USDT NEW|USDT ? 1 Gone"];
    assert_eq!(instruments("okx", body), expected);

    let body = r#"{"code":"0","msg":"","data":[{"instId":"BTC-USDT","side":"sell","sz":"0.03","px":"26421.3","tradeId":"59","ts":"1630048897897"},{"instId":"BTC-USDT","side":"buy","sz":"1","px":"26421","tradeId":"58","ts":"1630048897000"}]}"#;
    let (first, next, trades) = page("okx", &by_ids("BTC-USDT", 50, 59), body);
    assert_eq!(first, "/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=60&limit=100");
    assert_eq!(next.as_deref(), Some("/api/v5/market/history-trades?instId=BTC-USDT&type=1&after=58&limit=100"));
    let expected = [
        "trade BTC-USDT 58..58 26421x1 Buy @1630048897000000000",
        "trade BTC-USDT 59..59 26421.3x0.03 Sell @1630048897897000000",
    ];
    assert_eq!(trades, expected);
    assert_eq!(page("okx", &by_ids("BTC-USDT", 58, 59), body).1, None);
    for (code, is_limit) in [("50011", true), ("51001", false)] {
        let body = format!(r#"{{"code":"{code}","msg":"no","data":[]}}"#);
        for status in [200, 400, 429] {
            let answer = Answer { status, ..answer(&body) };
            let refused = rest("okx").read_instruments(&answer).unwrap_err();
            assert_eq!(matches!(refused, RestError::RateLimited { .. }), is_limit, "{refused}");
        }
    }
}

#[test]
fn bitfinex() {
    let body = r#"[["BTCUSD","DUSK:USD","TESTBTC:TESTUSD"]]"#;
    let expected =
        ["tBTCUSD BTC|USD ? ? Trading", "tDUSK:USD DUSK|USD ? ? Trading", "tTESTBTC:TESTUSD TESTBTC|TESTUSD ? ? Gone"];
    assert_eq!(instruments("bitfinex", body), expected);

    let times = (1_574_694_478_000_500_000, 1_574_694_479_000_500_000);
    let missing = Missing { symbol: "tDUSK:USD", ids: None, times };
    let body = "[[1,1574694478000,1,2],[2,1574694478808,-0.005,7245.3],[3,1574694479001,5,7]]";
    let (first, next, trades) = page("bitfinex", &missing, body);
    assert_eq!(first, "/v2/trades/tDUSK:USD/hist?limit=10000&start=1574694478000&sort=1&end=1574694479001");
    let expected = ["trade tDUSK:USD 2..2 7245.3x0.005 Sell @1574694478808000000"];
    assert_eq!((next, trades), (None, expected.map(str::to_owned).to_vec()));
    let full = |ms: u64| format!("[{}]", vec![format!("[2,{ms},1,1]"); 10_000].join(","));
    let (_, next, _) = page("bitfinex", &missing, &full(1_574_694_478_900));
    assert!(next.unwrap().contains("start=1574694478900&"), "the last millisecond again");
    assert_eq!(page("bitfinex", &missing, &full(1_574_694_478_000)).1, None, "leads nowhere");
    for (body, is_limit) in [
        (r#"["error",11010,"ratelimit: error"]"#, true),
        (r#"{"error":"ERR_RATE_LIMIT"}"#, true),
        (r#"["error",10020,"symbol: invalid"]"#, false),
    ] {
        let refused = rest("bitfinex").read_instruments(&answer(body)).unwrap_err();
        assert_eq!(matches!(refused, RestError::RateLimited { .. }), is_limit, "{refused}");
    }
}

#[test]
fn limits_and_bans_say_how_long() {
    let facts = rest("binance").facts();
    let check = |status: u16, retry_after: Option<&str>| Answer { status, retry_after, body: b"nope" }.check(facts);
    let limited =
        |seconds: u64, banned: bool| Err(RestError::RateLimited { wait: Duration::from_secs(seconds), banned });
    assert_eq!(check(200, None), Ok(()));
    assert_eq!(check(429, Some("7")), limited(7, false));
    assert_eq!(check(418, Some(" 120 ")), limited(120, true));
    assert_eq!(check(429, None), limited(60, false), "the venue's own wait");
    assert_eq!(check(429, Some("Wed, 21 Oct 2015 07:28:00 GMT")), limited(60, false));
    assert_eq!(check(503, Some("30")), limited(30, false));
    assert_eq!(check(418, Some("99999999999")), limited(259_200, true));
    assert_eq!(check(500, None), Err(RestError::Refused { status: 500, reason: "nope".to_owned() }));
    let text = check(418, Some("120")).unwrap_err().to_string();
    assert_eq!(text, "the venue's rate limit is reached; it wants 120 s of silence, and has banned this address");
}

#[test]
fn bad_answers_name_the_field() {
    let missing = Missing { symbol: "BTC-USD", ids: Some((1, 9)), times: (0, u64::MAX) };
    for (exchange, body, expected) in [
        (
            "coinbase",
            r#"[{"trade_id":9,"side":"buy","size":"x","price":"3","time":""}]"#,
            "field `size` has the value `x`",
        ),
        (
            "coinbase",
            r#"[{"trade_id":9,"side":"b","size":"1","price":"3","time":""}]"#,
            "field `side` has the value `b`",
        ),
        (
            "binance",
            r#"[{"id":1,"price":"-1","qty":"1","time":1,"isBuyerMaker":true}]"#,
            "field `price` has the value `-1`",
        ),
        (
            "kraken",
            r#"{"error":[],"result":{"X":[["1","1",1,"q","l","",7]],"last":"1"}}"#,
            "field `side` has the value `\"q\"`",
        ),
        ("kraken", r#"{"error":[],"result":{"X":[["1","1",1,"b"]],"last":"1"}}"#, "field `trade_id` is missing"),
        ("kraken", r#"{"error":[],"result":{"X":[]}}"#, "field `last` is missing"),
        ("kraken", r#"{"error":[]}"#, "field `result` is missing"),
        (
            "okx",
            r#"{"code":"0","data":[{"tradeId":"x","px":"1","sz":"1","side":"buy","ts":"1"}]}"#,
            "field `tradeId` has the value `x`",
        ),
        ("okx", r#"{"code":"0"}"#, "field `data` is missing"),
        ("bitfinex", "[[1,2,0,3]]", "field `AMOUNT` has the value `0`"),
    ] {
        let rest = rest(exchange);
        let request: Request = rest.trades(&missing).unwrap();
        let error = rest.read_trades(&missing, &request, &answer(body), &mut |_| panic!("{body}")).unwrap_err();
        assert_eq!(error.to_string(), expected, "{exchange} {body}");
    }
}

#[test]
fn what_cannot_be_asked_is_not() {
    for exchange in ["coinbase", "binance", "kraken", "okx", "bitfinex"] {
        let rest = rest(exchange);
        let by_ids = rest.facts().by == BackfillBy::Ids;
        let without_ids = Missing { symbol: "BTC-USD", ids: None, times: (1, 2) };
        assert_eq!(rest.trades(&without_ids).is_none(), by_ids, "{exchange}");
        let empty = Missing { symbol: "BTC-USD", ids: Some((2, 1)), times: (2, 1) };
        assert_eq!(rest.trades(&empty), None, "{exchange}");
    }
}

#[test]
fn up_to_the_newest() {
    for (exchange, target) in [
        ("coinbase", "/products/BTC-USD/trades?limit=1000"),
        ("binance", "/api/v3/historicalTrades?symbol=BTC-USD&fromId=7&limit=1000"),
        ("kraken", "/0/public/Trades?pair=BTC-USD&since=0&count=1000"),
        ("okx", "/api/v5/market/trades?instId=BTC-USD&limit=500"),
        ("bitfinex", "/v2/trades/BTC-USD/hist?limit=10000&start=0&sort=1"),
    ] {
        let newest = by_ids("BTC-USD", 7, u64::MAX);
        assert_eq!(rest(exchange).trades(&newest).unwrap().target, target);
    }
    let body = r#"[{"trade_id":9,"side":"buy","size":"1","price":"3","time":"2014-11-07T22:19:28Z"}]"#;
    let (_, next, trades) = page("coinbase", &by_ids("BTC-USD", 7, u64::MAX), body);
    assert_eq!((next.as_deref(), trades.len()), (Some("/products/BTC-USD/trades?limit=1000&after=9"), 1));
}
