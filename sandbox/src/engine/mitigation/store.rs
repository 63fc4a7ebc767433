//! Keep the mitigations in force: many of policies, within bounds, and those put by hand.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use lru::LruCache;

use super::index::Index;
use super::{Ended, Ending, Mitigation, Origin};
use crate::clock::Moment;
use crate::engine::attributes::Attributes;
use crate::engine::entity::{Entity, EntityDefinition};
use crate::engine::policy::{MitigationAction, Policy};
use crate::engine::visitor::Scope;

/// All that is in force, by entity.
#[derive(Debug)]
pub(crate) struct Mitigations {
    /// The entity whose mitigation began or was renewed last comes first.
    by_policy: LruCache<Entity, Vec<Mitigation>>,
    by_hand: HashMap<Entity, Mitigation>,
    /// Has each of both.
    index: Index,
    ended: Vec<Ended>,
    next_id: u64,
}

impl Mitigations {
    /// Puts a policy's mitigation on an entity or holds it for longer; tells it if it begins.
    pub(crate) fn apply_or_renew(
        &mut self,
        entity: Entity,
        policy: &Arc<Policy>,
        count: usize,
        definition: &EntityDefinition,
        attributes: &Attributes<'_>,
        now: Moment,
    ) -> Option<Mitigation> {
        let until = now.after(policy.ttl);
        self.take(entity, Ending::Expired, |mitigation| !mitigation.is_in_force(now));
        let mitigations = self.by_policy.get_or_insert_mut(entity, Vec::new);
        if let Some(mitigation) =
            mitigations.iter_mut().find(|mitigation| mitigation.order() == Some(policy.order))
        {
            self.index.remove(mitigation);
            mitigation.renew(policy, count, until);
            self.index.insert(mitigation);
            return None;
        }
        let begun = Mitigation {
            id: self.next_id,
            entity,
            label: definition.label(attributes).into(),
            origin: Origin::Policy(Arc::clone(policy)),
            until: Some(until),
            count,
            is_bound: policy.counts_no_further_than(count),
            scope: Scope::of(&definition.key, attributes),
        };
        mitigations.push(begun.clone());
        self.index.insert(&begun);
        self.next_id += 1;
        self.make_room(now);
        Some(begun)
    }

    /// Puts a mitigation on an entity by hand, in place of another, and tells it.
    pub(crate) fn put(
        &mut self,
        entity: Entity,
        action: MitigationAction,
        label: String,
        scope: Scope,
    ) -> Mitigation {
        let begun = Mitigation {
            id: self.next_id,
            entity,
            label: label.into(),
            origin: Origin::Hand(action),
            until: None,
            count: 1,
            is_bound: false,
            scope: Some(scope),
        };
        self.index.insert(&begun);
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
        all.filter(move |mitigation| mitigation.is_in_force(now))
    }

    /// Whether there is any that was put by hand.
    pub(crate) fn any_by_hand(&self) -> bool {
        !self.by_hand.is_empty()
    }

    /// All that is in force, in no order.
    pub(crate) fn all(&self, now: Moment) -> impl Iterator<Item = &Mitigation> {
        let by_policy = self.by_policy.iter().flat_map(|(_, mitigations)| mitigations);
        let all = by_policy.chain(self.by_hand.values());
        all.filter(move |mitigation| mitigation.is_in_force(now))
    }

    /// The one with a number, if it is in force.
    pub(crate) fn get(&self, id: u64, now: Moment) -> Option<&Mitigation> {
        let entity = self.index.entity(id)?;
        self.of(entity, now).find(|mitigation| mitigation.id == id)
    }

    /// All that is in force, the newest first.
    pub(crate) fn newest(&self, now: Moment) -> impl Iterator<Item = &Mitigation> {
        self.index.newest().filter_map(move |(id, _)| self.get(id, now))
    }

    /// How many are in force, or were as far as their end was not noticed yet.
    pub(crate) fn len(&self) -> usize {
        self.index.len()
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
            && let Some(mitigation) = self.by_hand.remove(&entity)
        {
            self.end(mitigation, how);
        }
    }

    /// Goes on with other policies: keeps what one put that reads the same now, and what was put
    /// by hand.
    pub(crate) fn carry_over(&mut self, policies: &[Arc<Policy>]) {
        let mut gone = Vec::new();
        for mitigation in self.by_policy.iter_mut().flat_map(|(_, mitigations)| mitigations) {
            let Origin::Policy(old) = &mitigation.origin else { continue };
            match policies.iter().find(|policy| policy.definition == old.definition) {
                Some(same) => mitigation.origin = Origin::Policy(Arc::clone(same)),
                None => gone.push((mitigation.entity, mitigation.id)),
            }
        }
        for (entity, id) in gone {
            self.take(entity, Ending::Withdrawn, |mitigation| mitigation.id == id);
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
        let Some((id, entity)) = self.index.next_over(now) else { return false };
        self.take(entity, Ending::Expired, |mitigation| mitigation.id == id);
        true
    }

    /// Takes mitigations of policies away.
    fn take(&mut self, entity: Entity, how: Ending, which: impl Fn(&Mitigation) -> bool) {
        let Some(mitigations) = self.by_policy.peek_mut(&entity) else { return };
        let taken: Vec<_> = mitigations.extract_if(.., |mitigation| which(mitigation)).collect();
        if mitigations.is_empty() {
            self.by_policy.pop(&entity);
        }
        taken.into_iter().for_each(|mitigation| self.end(mitigation, how));
    }

    /// Notes the end of one that was taken away.
    fn end(&mut self, mitigation: Mitigation, how: Ending) {
        self.index.remove(&mitigation);
        self.ended.push(Ended { mitigation, how });
    }

    /// Forgets what is over, more of it than can begin, and what is too much.
    fn make_room(&mut self, now: Moment) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            self.settle_one(now);
        }
        while self.by_policy.len() > MOST
            && let Some((_, mitigations)) = self.by_policy.pop_lru()
        {
            mitigations.into_iter().for_each(|mitigation| self.end(mitigation, Ending::GaveWay));
        }
    }
}

impl Default for Mitigations {
    fn default() -> Self {
        Self {
            by_policy: LruCache::unbounded(),
            by_hand: HashMap::new(),
            index: Index::default(),
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
    use crate::engine::policy::PolicySet;

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
    fn apply_or_renew(
        mitigations: &mut Mitigations,
        set: &PolicySet,
        ip: u32,
        seconds: u64,
    ) -> Entity {
        let attributes =
            Attributes { ip: Some(Ipv4Addr::from_bits(ip).into()), ..Attributes::default() };
        let definition = &set.entities[0];
        let entity = definition.entity(&attributes).expect("an address");
        let now = Moment::START.after(Duration::from_secs(seconds));
        mitigations.apply_or_renew(entity, &set.policies[0], 1, definition, &attributes, now);
        entity
    }

    #[test]
    fn of_too_many_the_one_renewed_longest_ago_gives_way() {
        let (set, mut mitigations) = (policies(), Mitigations::default());
        let first = apply_or_renew(&mut mitigations, &set, 0, 0);
        let second = apply_or_renew(&mut mitigations, &set, 1, 0);
        let others = u32::try_from(MOST).expect("a number");
        for ip in 2..others {
            apply_or_renew(&mut mitigations, &set, ip, 0);
        }
        apply_or_renew(&mut mitigations, &set, 0, 0);
        apply_or_renew(&mut mitigations, &set, others, 0);
        assert_eq!(mitigations.by_policy.len(), MOST);
        assert_eq!(mitigations.of(first, Moment::START).count(), 1, "it was renewed");
        assert_eq!(mitigations.of(second, Moment::START).count(), 0);
        let [gone] = &mitigations.take_ended()[..] else { panic!("one gave way") };
        assert_eq!((gone.mitigation.entity, gone.how), (second, Ending::GaveWay));
        assert_eq!(mitigations.len(), MOST);
    }

    #[test]
    fn very_many_that_are_over_are_noticed_a_part_at_a_time() {
        let (set, mut mitigations) = (policies(), Mitigations::default());
        let many = u32::try_from(SETTLED_AT_ONCE + 1).expect("a number");
        for ip in 0..many {
            apply_or_renew(&mut mitigations, &set, ip, 0);
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
            apply_or_renew(&mut mitigations, &set, ip, 0);
        }
        for ip in 100..120 {
            apply_or_renew(&mut mitigations, &set, ip, 60);
        }
        assert_eq!((mitigations.by_policy.len(), mitigations.len()), (20, 20));
        assert_eq!(mitigations.take_ended().len(), 100);
    }
}
