//! A client that asks for rows without pause.

use std::collections::BTreeMap;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};

use super::{Place, Shared, remembered::Remembered};
use crate::answers::{ask, decode};

/// Rows that a chart asks for.
const POINTS: usize = 400;

/// In which form a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Binary,
    Arrow,
    MinMax,
}

impl Form {
    fn parameters(self) -> String {
        match self {
            Form::Binary => String::new(),
            Form::Arrow => "&format=arrow".to_owned(),
            Form::MinMax => format!("&reduce=minmax&max_points={POINTS}"),
        }
    }
}

pub(super) struct Asking {
    shared: Shared,
    form: Form,
    dice: StdRng,
    /// What a range had when it was asked for the last time: it may grow, and never shrink.
    rows: BTreeMap<(Place, (u64, u64)), usize>,
    /// The last range that ended with the present.
    last: BTreeMap<Place, (u64, u64)>,
}

impl Asking {
    pub(super) fn new(shared: Shared, form: Form, seed: u64) -> Asking {
        Asking { shared, form, dice: StdRng::seed_from_u64(seed), rows: BTreeMap::new(), last: BTreeMap::new() }
    }

    pub(super) async fn run(mut self) -> Vec<Remembered> {
        let mut remembered = Vec::new();
        while !self.shared.is_done() {
            match self.shared.places().choose(&mut self.dice) {
                Some(place) => remembered.push(self.ask(place.clone()).await),
                None => tokio::task::yield_now().await,
            }
        }
        remembered
    }

    async fn ask(&mut self, place: Place) -> Remembered {
        let range = self.range(&place);
        let columns = self.columns(&place);
        let path = format!(
            "/api/data?exchange={}&symbol={}&type={}&start={}&end={}&columns={}{}",
            place.exchange,
            place.symbol,
            place.table().name(),
            range.0,
            range.1,
            columns.join(","),
            self.form.parameters()
        );
        let answer = ask(self.shared.server, &path).await.unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let format = if self.form == Form::Arrow { "arrow" } else { "binary" };
        let cells = decode(&answer, format, place.table(), &columns);
        let remembered = Remembered::new(path, place.clone(), range, columns, cells, self.form == Form::MinMax);
        if self.form == Form::MinMax {
            assert!(remembered.rows <= POINTS, "{} rows", remembered.rows);
        } else {
            let before = self.rows.insert((place, range), remembered.rows).unwrap_or(0);
            assert!(remembered.rows >= before, "{}: {} rows after {before}", remembered.path, remembered.rows);
        }
        remembered
    }

    /// All there may ever be, or the last part up to now, or what was asked for before.
    fn range(&mut self, place: &Place) -> (u64, u64) {
        let (first, now) = (self.shared.first, self.shared.now());
        match (self.dice.random_range(0..3), self.last.get(place)) {
            (0, _) => (first, first + 4 * 86_400),
            (1, Some(range)) => *range,
            _ => {
                let range = (self.dice.random_range(first..now), now);
                self.last.insert(place.clone(), range);
                range
            }
        }
    }

    /// The search key, and some more.
    fn columns(&mut self, place: &Place) -> Vec<&'static str> {
        let all = place.table().columns();
        let mut columns = vec!["time", "nanos", "price_f64"];
        columns.extend(
            (0..self.dice.random_range(0..5)).filter_map(|_| all.choose(&mut self.dice)).map(|(name, _)| *name),
        );
        columns
    }
}
