//! A set of days, of which all that there can be take 5 KB.

use crate::Day;

/// A bit for each day, as far as any was put in.
#[derive(Debug, Default)]
pub(super) struct DaySet(Vec<u64>);

impl DaySet {
    pub(super) fn insert(&mut self, day: Day) {
        let (word, bit) = place(day);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    pub(super) fn contains(&self, day: Day) -> bool {
        let (word, bit) = place(day);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

fn place(day: Day) -> (usize, u64) {
    let number = day.number() - Day::from_seconds_clamped(0).number();
    (number as usize / 64, 1 << (number % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut set = DaySet::default();
        let mut day = Day::from_seconds_clamped(0);
        let mut days = vec![day];
        while let Some(next) = day.next() {
            day = next;
            days.push(day);
        }
        for day in days.iter().rev().step_by(7) {
            assert!(!set.contains(*day));
            set.insert(*day);
        }
        assert!(days.iter().rev().enumerate().all(|(at, day)| set.contains(*day) == at.is_multiple_of(7)));
        assert_eq!(set.0.len(), 36_525_usize.div_ceil(64));
        set.clear();
        assert!(!days.iter().any(|day| set.contains(*day)));
    }
}
