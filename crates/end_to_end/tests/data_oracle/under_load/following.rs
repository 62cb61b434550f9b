//! A client of the stream that follows all that the first logger records.

use std::{collections::BTreeMap, path::Path, time::Duration};

use end_to_end::{eventually, files as independent};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{Place, Shared};

/// Silence after which nothing more is to come: a look at the files takes a fifth of that.
const QUIET: Duration = Duration::from_secs(2);

/// Rows of a table, each as the numbers that tell it from all others.
pub(super) type Followed = BTreeMap<Place, Vec<Vec<u64>>>;

fn columns(place: &Place) -> [&'static str; 5] {
    ["time", "nanos", if place.is_quotes { "event_id" } else { "id" }, "event_ns", "receive_ns"]
}

/// Follows from the first row on to what is there when all is done.
pub(super) async fn follow(shared: Shared) -> Followed {
    let is_there = |place: &Place, exchange: &str| place.exchange == exchange;
    let places = eventually("something to follow", Duration::from_secs(60), || async {
        let places = shared.places();
        let both = ["coinbase", "binance"].iter().all(|name| places.iter().any(|place| is_there(place, name)));
        both.then_some(places)
    })
    .await;
    let (mut socket, _) = connect_async(format!("ws://{}/api/stream", shared.server)).await.unwrap();
    let names: BTreeMap<String, Place> = (0..).map(|number: u32| number.to_string()).zip(places).collect();
    let wish = |id: &str| {
        let place = &names[id];
        let Place { exchange, symbol, .. } = place;
        let wish = json!({"op": "subscribe", "id": id, "exchange": exchange, "symbol": symbol, "since_ns": 0,
            "type": place.table().name(), "columns": columns(place)});
        Message::text(wish.to_string())
    };
    for id in names.keys() {
        socket.send(wish(id)).await.unwrap();
    }
    let mut followed: Followed = names.values().map(|place| (place.clone(), Vec::new())).collect();
    loop {
        let message = match tokio::time::timeout(QUIET, socket.next()).await {
            Err(_) if shared.is_done() => return followed,
            Err(_) => continue,
            Ok(message) => message.unwrap().unwrap(),
        };
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).unwrap();
        match event["event"].as_str().unwrap() {
            "rows" => {
                let place = &names[event["id"].as_str().unwrap()];
                let numbers = |row: &Value| row.as_array().unwrap().iter().map(|cell| cell.as_u64().unwrap()).collect();
                followed.get_mut(place).unwrap().extend(event["rows"].as_array().unwrap().iter().map(numbers));
            }
            "subscribed" | "live" => {}
            // The first quote of a symbol may come before its first trade makes the directory.
            "error" if event["error"].as_str().unwrap().starts_with("Not found: table") => {
                socket.send(wish(event["id"].as_str().unwrap())).await.unwrap();
            }
            _ => panic!("{event}"),
        }
    }
}

/// Each row came once; how many came.
pub(super) fn judge(followed: &Followed, data: &Path) -> usize {
    for (place, rows) in followed {
        let whole = independent::table(data, &place.exchange, &place.symbol, place.table().name()).columns;
        let cells = columns(place).map(|name| {
            let of_four = || whole.u32s(name).into_iter().map(u64::from).collect();
            if name == "time" || name == "nanos" { of_four() } else { whole.u64s(name) }
        });
        let expected = (0..cells[0].len()).map(|row| cells.iter().map(|column| column[row]).collect());
        let expected: Vec<Vec<u64>> = expected.collect();
        let at = rows.iter().zip(&expected).position(|(row, expected)| row != expected);
        assert!(*rows == expected, "{place:?}: {} rows of {}, other at {at:?}", rows.len(), expected.len());
    }
    followed.values().map(Vec::len).sum()
}
