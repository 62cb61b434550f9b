//! What each thread remembers of each family: the table it saw last.

use super::table::Table;
use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tables that a thread saw last, by the number of their family.
///
/// An old table that a thread still holds is let go of at that thread's next refresh, or at its end.
#[derive(Debug)]
pub(crate) struct Tables<M> {
    tables: RefCell<Vec<Option<Arc<Table<M>>>>>,
}

impl<M> Tables<M> {
    /// Remembers nothing yet.
    pub(super) const fn new() -> Self {
        Self { tables: RefCell::new(Vec::new()) }
    }

    /// What `read` makes of the remembered table; `None` if there is none, or a replaced one, or `read` says so.
    #[inline]
    pub(super) fn read<R>(&self, family: usize, read: impl FnOnce(&Table<M>) -> Option<R>) -> Option<R> {
        let tables = self.tables.try_borrow().ok()?;
        let table = tables.get(family)?.as_ref()?;
        if table.is_replaced() { None } else { read(table) }
    }

    /// Remembers a table, and lets go of those that nobody needs any more.
    pub(super) fn remember(&self, family: usize, table: &Arc<Table<M>>) {
        let Ok(mut tables) = self.tables.try_borrow_mut() else { return };
        if tables.get(family).and_then(Option::as_ref).is_some_and(|known| Arc::ptr_eq(known, table)) {
            return;
        }
        for place in tables.iter_mut() {
            if place.as_ref().is_some_and(|table| table.is_replaced()) {
                *place = None;
            }
        }
        if tables.len() <= family {
            tables.resize_with(family + 1, || None);
        }
        tables[family] = Some(Arc::clone(table));
    }
}

/// The numbers that no family has: a dropped family's is given to the next one, so that what threads remember does not
/// grow. What they remember of the old family is known to be replaced.
static FREE: Mutex<Numbers> = Mutex::new(Numbers { free: Vec::new(), next: 0 });

#[derive(Debug)]
struct Numbers {
    free: Vec<usize>,
    next: usize,
}

fn numbers() -> MutexGuard<'static, Numbers> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number for a family.
pub(super) fn take_number() -> usize {
    let mut numbers = numbers();
    numbers.free.pop().unwrap_or_else(|| {
        numbers.next += 1;
        numbers.next - 1
    })
}

/// Gives a number back; the family's table must be marked as replaced before.
pub(super) fn give_number_back(number: usize) {
    numbers().free.push(number);
}
