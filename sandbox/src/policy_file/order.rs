//! Find policies that could never apply, because one before them takes all of their events.

use super::compile::written;
use super::error::Mistake;
use super::file::{ActionName, PolicyTable, Source};

/// Refuses a policy behind one on the same events of the same entity that applies whenever it does.
///
/// What it finds is plain to see: the same condition or none at all, and a threshold that is no
/// higher. A person finds more. Behind a challenge with a window, what does not challenge still
/// applies: whoever passes is counted anew for challenges alone.
pub(super) fn refuse_what_never_applies(tables: &[PolicyTable]) -> Result<(), Mistake> {
    let shapes: Vec<_> = tables.iter().map(Shape::of).collect::<Result<_, _>>()?;
    for (place, later) in shapes.iter().enumerate() {
        if let Some(earlier) = shapes[..place].iter().find(|earlier| earlier.takes_all_of(later)) {
            let why = format!(
                "comes after {:?}, which takes all events that it would apply to; put it before",
                earlier.name
            );
            return Err(Mistake::new(tables[place].name.span(), why));
        }
    }
    Ok(())
}

/// What decides which events a policy applies to.
struct Shape<'a> {
    name: &'a str,
    source: Source,
    action: ActionName,
    entity: Option<&'a str>,
    condition: Option<String>,
    window: Option<WindowShape<'a>>,
}

struct WindowShape<'a> {
    seconds: i64,
    over: i64,
    distinct: Option<&'a str>,
}

impl<'a> Shape<'a> {
    fn of(table: &'a PolicyTable) -> Result<Self, Mistake> {
        let window = table.window.as_ref().map(|window| {
            let window = window.get_ref();
            WindowShape {
                seconds: *window.seconds.get_ref(),
                over: *window.over.get_ref(),
                distinct: window.distinct.as_ref().map(|field| field.get_ref().as_str()),
            }
        });
        Ok(Self {
            name: table.name.get_ref(),
            source: table.on.as_ref().map_or(Source::Events, |on| *on.get_ref()),
            action: *table.mitigation.get_ref().action.get_ref(),
            entity: table.entity.as_ref().map(|name| name.get_ref().as_str()),
            condition: table.condition.as_ref().map(written).transpose()?,
            window,
        })
    }

    fn takes_all_of(&self, later: &Self) -> bool {
        let is_no_stricter = match (&self.window, &later.window) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(window)) => {
                let is_forgiven =
                    self.action == ActionName::Challenge && later.action != ActionName::Challenge;
                !is_forgiven
                    && own.distinct == window.distinct
                    && own.seconds >= window.seconds
                    && own.over <= window.over
            }
        };
        self.source == later.source
            && self.entity == later.entity
            && (self.condition.is_none() || self.condition == later.condition)
            && is_no_stricter
    }
}
