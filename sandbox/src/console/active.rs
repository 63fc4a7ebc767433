//! Know by name whom a mitigation is in force against, and notice when it is over.

use std::num::NonZeroUsize;

use lru::LruCache;

use crate::entity::Entity;
use crate::journal::Visitor;

/// The mitigations that began and were not seen to be over, with their visitors.
///
/// The analysis knows an entity by its digest alone.
#[derive(Debug)]
pub(crate) struct Active {
    /// The newest first; none is ever promoted.
    known: LruCache<Held, Visitor>,
}

/// What a policy holds against an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) entity: Entity,
    pub(crate) policy: &'static str,
}

impl Active {
    pub(crate) fn new() -> Self {
        Self { known: LruCache::new(CAPACITY) }
    }

    pub(crate) fn begin(&mut self, held: Held, visitor: Visitor) {
        self.known.push(held, visitor);
    }

    /// Forgets what is over by the word of `is_over`, and tells it.
    pub(crate) fn settle(&mut self, is_over: impl Fn(Held) -> bool) -> Vec<(Held, Visitor)> {
        let over: Vec<_> =
            self.known.iter().map(|(held, _)| *held).filter(|h| is_over(*h)).collect();
        over.into_iter().filter_map(|held| self.known.pop_entry(&held)).collect()
    }

    /// The newest first.
    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (Held, &Visitor)> {
        self.known.iter().map(|(held, visitor)| (*held, visitor))
    }

    /// Finds what [`Held::id`] names.
    pub(crate) fn find(&self, id: &str) -> Option<Held> {
        let (entity, policy) = id.split_once('-')?;
        let entity = Entity::parse(entity)?;
        self.known.iter().map(|(held, _)| *held).find(|h| h.entity == entity && h.policy == policy)
    }
}

impl Held {
    /// A name for it that fits into a path.
    pub(crate) fn id(self) -> String {
        format!("{}-{}", self.entity, self.policy)
    }
}

/// The most that are known; beyond it the oldest are not shown.
const CAPACITY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn held(number: u32, policy: &'static str) -> (Held, Visitor) {
        let ip = IpAddr::from(Ipv4Addr::from_bits(number));
        let visitor = Visitor { ip, user_agent: String::new() };
        (Held { entity: Entity::new(ip, None), policy }, visitor)
    }

    #[test]
    fn what_is_over_is_told_once() {
        let mut active = Active::new();
        let (burst, flood) = (held(1, "burst"), held(1, "flood"));
        active.begin(burst.0, burst.1.clone());
        active.begin(flood.0, flood.1);
        assert_eq!(active.settle(|held| held.policy == "burst"), [burst]);
        assert_eq!(active.settle(|held| held.policy == "burst"), []);
        assert_eq!(active.iter().len(), 1);
    }

    #[test]
    fn an_id_finds_what_it_names_and_nothing_else() {
        let mut active = Active::new();
        let (burst, visitor) = held(1, "burst");
        active.begin(burst, visitor);
        assert_eq!(active.find(&burst.id()), Some(burst));
        for id in ["", "-", "burst", &held(1, "flood").0.id(), &held(2, "burst").0.id()] {
            assert_eq!(active.find(id), None, "{id}");
        }
    }
}
