//! The host's functions, as the table of addresses that it gave to `w_Begin`.

use std::cell::Cell;

use plugin_abi::{Call, Numbering};

use super::targs::Callback;

/// The places in a host's table.
pub(crate) const PLACES: usize = 100;

/// The host's functions, where the host keeps them: a place counts as it is when it is used,
/// so a host may fill its table after `w_Begin`.
pub(crate) struct Table {
    /// NULL when the host has left without `w_End`.
    places: Cell<*const Option<Callback>>,
    /// What `VHPY_ABI` says.
    forced: Option<Numbering>,
    warned: Cell<bool>,
}

impl Table {
    /// The table at this address.
    ///
    /// # Safety
    /// It has [`PLACES`] places and stays there until [`Table::forget`] or the end of `self`.
    pub(crate) unsafe fn at(places: *const Option<Callback>) -> Table {
        let forced = match std::env::var("VHPY_ABI").as_deref() {
            Ok("1.6") => Some(Numbering::V1_6),
            Ok("1.7") => Some(Numbering::V1_7),
            Ok(other) => {
                log::warn!("VHPY_ABI is \"{other}\"; it can be 1.6 or 1.7, and is found out instead");
                None
            }
            Err(_) => None,
        };
        Table { places: Cell::new(places), forced, warned: Cell::new(false) }
    }

    /// From now on no place has a function: the host may have taken its table away.
    pub(crate) fn forget(&self) {
        self.places.set(std::ptr::null());
    }

    /// How the places are numbered, by what is in them at this moment.
    pub(crate) fn numbering(&self) -> Numbering {
        self.forced.or_else(|| detect(|place| self.place(place).is_some())).unwrap_or_else(|| {
            if !self.warned.replace(true) {
                log::warn!("the host's table has functions where none can be; set VHPY_ABI to 1.6 or 1.7");
            }
            Numbering::V1_6
        })
    }

    fn place(&self, place: usize) -> Option<Callback> {
        let places = self.places.get();
        if places.is_null() || place >= PLACES {
            return None;
        }
        // SAFETY: the place is in the table, which is still there (see `at`). The host writes
        // whole words, and may do so at any time: hence volatile.
        unsafe { places.add(place).read_volatile() }
    }

    pub(crate) fn function(&self, call: Call) -> Option<Callback> {
        self.place(call.place(self.numbering())?)
    }

    /// Whether the host has this function.
    pub(crate) fn has(&self, call: Call) -> bool {
        self.function(call).is_some()
    }
}

/// No hub fills the three SQL places. Where a hub lacks their neighbours too, the last place
/// of the longer table decides. `None` when there are functions where none can be.
fn detect(is_filled: impl Fn(usize) -> bool) -> Option<Numbering> {
    let empty = |from: usize| (from..from + 3).all(|place| !is_filled(place));
    match (empty(42), empty(43)) {
        (true, true) if is_filled(56) => Some(Numbering::V1_7),
        (false, true) => Some(Numbering::V1_7),
        (true, _) => Some(Numbering::V1_6),
        (false, false) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbering_shows_in_what_is_missing() {
        assert_eq!(detect(|at| at < 56 && !(42..45).contains(&at)), Some(Numbering::V1_6));
        assert_eq!(detect(|at| at < 57 && !(43..46).contains(&at)), Some(Numbering::V1_7));
        assert_eq!(detect(|_| false), Some(Numbering::V1_6));
        assert_eq!(detect(|at| at < 41 || at == 56), Some(Numbering::V1_7));
        assert_eq!(detect(|at| at < 57), None);
    }
}
