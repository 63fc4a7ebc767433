//! Keep the mitigations in force: many of policies, within bounds, and those put by hand.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use lru::LruCache;

use super::register::Register;
use super::{Ended, Ending, Mitigation, Origin};
use crate::clock::Moment;
use crate::engine::entity::{Entity, EntityDefinition};
use crate::engine::facts::Facts;
use crate::engine::policy::{Policy, Remedy};
use crate::engine::visitor::Whom;

/// All that is in force, by entity.
#[derive(Debug)]
pub(crate) struct Mitigations {
    /// The entity whose mitigation began or was renewed last comes first.
    by_policy: LruCache<Entity, Vec<Mitigation>>,
    by_hand: HashMap<Entity, Mitigation>,
    /// Has each of both.
    register: Register,
    ended: Vec<Ended>,
    next_id: u64,
}

impl Mitigations {
    /// Puts a policy's mitigation on an entity or holds it for longer; tells it if it begins.
    pub(crate) fn charge(
        &mut self,
        entity: Entity,
        policy: &Arc<Policy>,
        count: usize,
        definition: &EntityDefinition,
        facts: &Facts<'_>,
        now: Moment,
    ) -> Option<Mitigation> {
        let until = now.after(policy.ttl);
        self.take(entity, Ending::Expired, |held| !held.is_in_force(now));
        let held = self.by_policy.get_or_insert_mut(entity, Vec::new);
        if let Some(held) = held.iter_mut().find(|held| held.order() == Some(policy.order)) {
            self.register.strike_out(held);
            held.renew(count, until);
            self.register.enter(held);
            return None;
        }
        let begun = Mitigation {
            id: self.next_id,
            entity,
            label: definition.label(facts).into(),
            origin: Origin::Policy(Arc::clone(policy)),
            until: Some(until),
            count,
            whom: Whom::of(&definition.key, facts),
        };
        held.push(begun.clone());
        self.register.enter(&begun);
        self.next_id += 1;
        self.make_room(now);
        Some(begun)
    }

    /// Puts a mitigation on an entity by hand, in place of another, and tells it.
    pub(crate) fn put(
        &mut self,
        entity: Entity,
        remedy: Remedy,
        label: String,
        whom: Whom,
    ) -> Mitigation {
        let begun = Mitigation {
            id: self.next_id,
            entity,
            label: label.into(),
            origin: Origin::Hand(remedy),
            until: None,
            count: 1,
            whom: Some(whom),
        };
        self.register.enter(&begun);
        if let Some(replaced) = self.by_hand.insert(entity, begun.clone()) {
            self.end(replaced, Ending::Lifted);
        }
        self.next_id += 1;
        begun
    }

    /// What is in force against an entity.
    pub(crate) fn of(&self, entity: Entity, now: Moment) -> impl Iterator<Item = &Mitigation> {
        let by_policy = self.by_policy.peek(&entity).into_iter().flatten();
        let all = by_policy.chain(self.by_hand.get(&entity));
        all.filter(move |held| held.is_in_force(now))
    }

    /// Whether there is any that was put by hand.
    pub(crate) fn any_by_hand(&self) -> bool {
        !self.by_hand.is_empty()
    }

    /// All that is in force, in no order.
    pub(crate) fn all(&self, now: Moment) -> impl Iterator<Item = &Mitigation> {
        let by_policy = self.by_policy.iter().flat_map(|(_, held)| held);
        let all = by_policy.chain(self.by_hand.values());
        all.filter(move |held| held.is_in_force(now))
    }

    /// The one with a number, if it is in force.
    pub(crate) fn get(&self, id: u64, now: Moment) -> Option<&Mitigation> {
        let entity = self.register.entity(id)?;
        self.of(entity, now).find(|held| held.id == id)
    }

    /// All that is in force, the newest first.
    pub(crate) fn newest(&self, now: Moment) -> impl Iterator<Item = &Mitigation> {
        self.register.newest().filter_map(move |(id, _)| self.get(id, now))
    }

    /// How many are in force, or were as far as their end was not noticed yet.
    pub(crate) fn len(&self) -> usize {
        self.register.len()
    }

    /// Takes an entity's mitigations of one kind away.
    pub(crate) fn remove(
        &mut self,
        entity: Entity,
        how: Ending,
        of_kind: impl Fn(&Mitigation) -> bool,
    ) {
        self.take(entity, how, &of_kind);
        if self.by_hand.get(&entity).is_some_and(of_kind)
            && let Some(held) = self.by_hand.remove(&entity)
        {
            self.end(held, how);
        }
    }

    /// Goes on with other policies: keeps what one put that reads the same now, and what was put
    /// by hand.
    pub(crate) fn carry_over(&mut self, policies: &[Arc<Policy>]) {
        let mut gone = Vec::new();
        for held in self.by_policy.iter_mut().flat_map(|(_, held)| held) {
            let Origin::Policy(old) = &held.origin else { continue };
            match policies.iter().find(|policy| policy.definition == old.definition) {
                Some(same) => held.origin = Origin::Policy(Arc::clone(same)),
                None => gone.push((held.entity, held.id)),
            }
        }
        for (entity, id) in gone {
            self.take(entity, Ending::Withdrawn, |held| held.id == id);
        }
    }

    /// Notices what is over by now. Of very many the rest is noticed next time, so that nobody
    /// waits for it.
    pub(crate) fn settle(&mut self, now: Moment) {
        for _ in 0..SETTLED_AT_ONCE {
            if !self.settle_one(now) {
                break;
            }
        }
    }

    /// What has ended since this was last asked.
    pub(crate) fn take_ended(&mut self) -> Vec<Ended> {
        mem::take(&mut self.ended)
    }

    fn settle_one(&mut self, now: Moment) -> bool {
        let Some((id, entity)) = self.register.next_over(now) else { return false };
        self.take(entity, Ending::Expired, |held| held.id == id);
        true
    }

    /// Takes mitigations of policies away.
    fn take(&mut self, entity: Entity, how: Ending, which: impl Fn(&Mitigation) -> bool) {
        let Some(held) = self.by_policy.peek_mut(&entity) else { return };
        let taken: Vec<_> = held.extract_if(.., |held| which(held)).collect();
        if held.is_empty() {
            self.by_policy.pop(&entity);
        }
        taken.into_iter().for_each(|held| self.end(held, how));
    }

    /// Notes the end of one that was taken away.
    fn end(&mut self, held: Mitigation, how: Ending) {
        self.register.strike_out(&held);
        self.ended.push(Ended { held, how });
    }

    /// Forgets what is over, more of it than can begin, and what is too much.
    fn make_room(&mut self, now: Moment) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            self.settle_one(now);
        }
        while self.by_policy.len() > MOST
            && let Some((_, held)) = self.by_policy.pop_lru()
        {
            held.into_iter().for_each(|held| self.end(held, Ending::GaveWay));
        }
    }
}

impl Default for Mitigations {
    fn default() -> Self {
        Self {
            by_policy: LruCache::unbounded(),
            by_hand: HashMap::new(),
            register: Register::default(),
            ended: Vec::new(),
            next_id: 0,
        }
    }
}

/// The most entities with mitigations of policies.
const MOST: usize = 100_000;

const FORGOTTEN_AT_ONCE: usize = 8;

const SETTLED_AT_ONCE: usize = 10_000;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::policy_file::PolicySet;

    const ADDRESS: &str = r#"
        entity = [{ name = "address", key = ["client_ip"] }]
        [[policy]]
        name = "any"
        entity = "address"
        mitigation = { action = "block", ttl_seconds = 60 }
    "#;

    fn policies() -> PolicySet {
        PolicySet::parse(ADDRESS).expect("no mistake")
    }

    /// Puts the policy's mitigation on an address, and tells its entity.
    fn charge(mitigations: &mut Mitigations, set: &PolicySet, ip: u32, seconds: u64) -> Entity {
        let facts = Facts { ip: Some(Ipv4Addr::from_bits(ip).into()), ..Facts::default() };
        let definition = &set.entities[0];
        let entity = definition.entity(&facts).expect("an address");
        let now = Moment::START.after(Duration::from_secs(seconds));
        mitigations.charge(entity, &set.policies[0], 1, definition, &facts, now);
        entity
    }

    #[test]
    fn of_too_many_the_one_renewed_longest_ago_gives_way() {
        let (set, mut mitigations) = (policies(), Mitigations::default());
        let first = charge(&mut mitigations, &set, 0, 0);
        let second = charge(&mut mitigations, &set, 1, 0);
        let others = u32::try_from(MOST).expect("a number");
        for ip in 2..others {
            charge(&mut mitigations, &set, ip, 0);
        }
        charge(&mut mitigations, &set, 0, 0);
        charge(&mut mitigations, &set, others, 0);
        assert_eq!(mitigations.by_policy.len(), MOST);
        assert_eq!(mitigations.of(first, Moment::START).count(), 1, "it was renewed");
        assert_eq!(mitigations.of(second, Moment::START).count(), 0);
        let [gone] = &mitigations.take_ended()[..] else { panic!("one gave way") };
        assert_eq!((gone.held.entity, gone.how), (second, Ending::GaveWay));
        assert_eq!(mitigations.len(), MOST);
    }

    #[test]
    fn very_many_that_are_over_are_noticed_a_part_at_a_time() {
        let (set, mut mitigations) = (policies(), Mitigations::default());
        let many = u32::try_from(SETTLED_AT_ONCE + 1).expect("a number");
        for ip in 0..many {
            charge(&mut mitigations, &set, ip, 0);
        }
        let over = Moment::START.after(Duration::from_secs(60));
        mitigations.settle(over);
        assert_eq!((mitigations.len(), mitigations.newest(over).count()), (1, 0));
        mitigations.settle(over);
        assert_eq!((mitigations.len(), mitigations.take_ended().len()), (0, SETTLED_AT_ONCE + 1));
    }

    #[test]
    fn what_is_over_is_forgotten_while_others_begin() {
        let (set, mut mitigations) = (policies(), Mitigations::default());
        for ip in 0..100 {
            charge(&mut mitigations, &set, ip, 0);
        }
        for ip in 100..120 {
            charge(&mut mitigations, &set, ip, 60);
        }
        assert_eq!((mitigations.by_policy.len(), mitigations.len()), (20, 20));
        assert_eq!(mitigations.take_ended().len(), 100);
    }
}
