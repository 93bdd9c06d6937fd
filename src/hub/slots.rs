//! Keeps values under numbers that are never mistaken for a later value's; what the values are
//! is left to others.

use std::marker::PhantomData;

/// Names one value in [`Slots`]. A removed value's name never finds another value. `T` keeps the
/// names of different tables apart; it is the type of the values, or one that stands for it.
pub struct Id<T> {
    slot: u32,
    generation: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// The place in the table: small, and unique among the values that exist now.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}

// Derives would ask for the same of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Id<T> {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Id<T>) -> bool {
        (self.slot, self.generation) == (other.slot, other.generation)
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Id<T>) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Id<T>) -> std::cmp::Ordering {
        (self.slot, self.generation).cmp(&(other.slot, other.generation))
    }
}
impl<T> std::fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.slot, self.generation)
    }
}

/// A table whose places are used again, each time under a new name.
pub struct Slots<T, Of = T> {
    places: Vec<(u32, Option<T>)>,
    free: Vec<u32>,
    names: PhantomData<fn() -> Of>,
}

impl<T, Of> Default for Slots<T, Of> {
    fn default() -> Slots<T, Of> {
        Slots { places: Vec::new(), free: Vec::new(), names: PhantomData }
    }
}

impl<T, Of> Slots<T, Of> {
    /// Puts a value in.
    pub fn insert(&mut self, value: T) -> Id<Of> {
        if let Some(slot) = self.free.pop()
            && let Some((generation, place)) = self.places.get_mut(slot as usize)
        {
            *place = Some(value);
            return Id { slot, generation: *generation, of: PhantomData };
        }
        let slot = self.places.len() as u32;
        self.places.push((0, Some(value)));
        Id { slot, generation: 0, of: PhantomData }
    }

    /// Takes a value out.
    pub fn remove(&mut self, id: Id<Of>) -> Option<T> {
        let (generation, place) = self.places.get_mut(id.slot())?;
        if *generation != id.generation {
            return None;
        }
        let value = place.take()?;
        *generation = generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    /// The value of this name, if it still exists.
    #[inline]
    pub fn get(&self, id: Id<Of>) -> Option<&T> {
        match self.places.get(id.slot()) {
            Some((generation, Some(value))) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The value of this name, if it still exists.
    #[inline]
    pub fn get_mut(&mut self, id: Id<Of>) -> Option<&mut T> {
        match self.places.get_mut(id.slot()) {
            Some((generation, Some(value))) if *generation == id.generation => Some(value),
            _ => None,
        }
    }

    /// The name of whatever is in this place now.
    pub fn id_at(&self, slot: usize) -> Option<Id<Of>> {
        let (generation, value) = self.places.get(slot)?;
        value.as_ref()?;
        Some(Id { slot: slot as u32, generation: *generation, of: PhantomData })
    }

    /// All names, in the order of their places.
    pub fn ids(&self) -> Vec<Id<Of>> {
        self.iter().map(|(id, _)| id).collect()
    }

    /// All values, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = (Id<Of>, &T)> {
        self.places.iter().enumerate().filter_map(|(slot, (generation, value))| {
            let id = Id { slot: slot as u32, generation: *generation, of: PhantomData };
            Some((id, value.as_ref()?))
        })
    }

    /// All values, in the order of their places.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Id<Of>, &mut T)> {
        self.places.iter_mut().enumerate().filter_map(|(slot, (generation, value))| {
            let id = Id { slot: slot as u32, generation: *generation, of: PhantomData };
            Some((id, value.as_mut()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_used_again_has_a_new_name() {
        let mut slots = Slots::<&str>::default();
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.slot(), second.slot());
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.remove(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.ids(), [second]);
    }
}
