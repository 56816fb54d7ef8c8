//! The one question that matters: may somebody who has these roles in these places do this there.
//! Roles whose conditions do not hold at this moment give nothing, and are kept only to say why.
//! Pure: who has which role, and what is known of his request, is the caller's to find out.

use crate::role_conditions::{RoleConditions, Unmet};
use crate::{Permission, PermissionSet, Place, Visible};
use std::sync::Arc;

/// What a role gives at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    pub place: Place,
    pub set: PermissionSet,
    /// Under which conditions, all of which hold now; `None`: whatever the circumstances.
    pub under: Option<Arc<RoleConditions>>,
}

/// What a role would give if its conditions held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dormant {
    pub place: Place,
    pub set: PermissionSet,
    pub unmet: Vec<Unmet>,
}

/// All that somebody may do, place by place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rights {
    held: Vec<Held>,
    dormant: Vec<Dormant>,
}

impl Rights {
    /// Whatever the circumstances.
    pub fn new(held: impl IntoIterator<Item = (Place, PermissionSet)>) -> Rights {
        let held = held.into_iter().map(|(place, set)| Held { place, set, under: None });
        Rights { held: held.collect(), dormant: Vec::new() }
    }

    pub fn in_force(held: Vec<Held>, dormant: Vec<Dormant>) -> Rights {
        Rights { held, dormant }
    }

    /// Everything everywhere.
    pub fn whole() -> Rights {
        Rights::new([(Place::Installation, PermissionSet::all())])
    }

    fn sum<'a>(held: impl Iterator<Item = &'a Held>) -> PermissionSet {
        held.fold(PermissionSet::NONE, |sum, it| sum.with(it.set))
    }

    /// All that is held there, from whatever place it comes.
    pub fn at(&self, there: Place) -> PermissionSet {
        Rights::sum(self.held.iter().filter(|it| it.place.covers(there)))
    }

    /// Of that, what is held whatever the circumstances.
    pub fn lasting_at(&self, there: Place) -> PermissionSet {
        Rights::sum(self.held.iter().filter(|it| it.under.is_none() && it.place.covers(there)))
    }

    pub fn allow(&self, permission: Permission, there: Place) -> bool {
        self.at(there).has(permission)
    }

    /// Whether somebody with these rights may take all of `set` away there.
    pub fn may_take(&self, set: PermissionSet, there: Place) -> bool {
        self.at(there).contains(set)
    }

    /// What somebody with these rights may hand out there under such conditions, `None` being none:
    /// nobody gives what he does not have, nor under looser conditions than his own.
    pub fn givable(&self, there: Place, under: Option<&RoleConditions>) -> PermissionSet {
        Rights::sum(self.held.iter().filter(|it| it.place.covers(there) && it.covers(there, under)))
    }

    /// Whether somebody with these rights may hand out all of `set` there, under such conditions.
    pub fn may_give(
        &self,
        set: PermissionSet,
        there: Place,
        under: Option<&RoleConditions>,
    ) -> bool {
        self.givable(there, under).contains(set)
    }

    /// Where the permission is held.
    pub fn places_of(&self, permission: Permission) -> Visible {
        let holding: Vec<Place> =
            self.held.iter().filter(|it| it.set.has(permission)).map(|it| it.place).collect();
        if holding.contains(&Place::Installation) {
            return Visible::Everywhere;
        }
        let mut places: Vec<Place> = Vec::new();
        for place in &holding {
            let is_within = holding.iter().any(|other| other != place && other.covers(*place));
            if !is_within && !places.contains(place) {
                places.push(*place);
            }
        }
        Visible::In(places)
    }

    /// What is left of them for somebody whom another vouches for: what was given in this place or
    /// inside it, and of that no more than `most`.
    pub fn within(mut self, here: Place, most: PermissionSet) -> Rights {
        self.held.retain(|it| here.covers(it.place));
        self.dormant.retain(|it| here.covers(it.place));
        for held in &mut self.held {
            held.set = held.set.within(most);
        }
        for dormant in &mut self.dormant {
            dormant.set = dormant.set.within(most);
        }
        self
    }

    pub fn places(&self) -> impl Iterator<Item = (Place, PermissionSet)> {
        self.held.iter().map(|it| (it.place, it.set))
    }

    /// What keeps a role from allowing this there, which it else would; `None`: no role would. With
    /// `None` for the place: anywhere.
    pub fn kept_by(&self, permission: Permission, there: Option<Place>) -> Option<&[Unmet]> {
        let is_there = |it: &&Dormant| {
            it.set.has(permission) && there.is_none_or(|there| it.place.covers(there))
        };
        // The one that lacks least is the easiest to come by.
        let nearest = self.dormant.iter().filter(is_there).min_by_key(|it| it.unmet.len());
        nearest.map(|it| it.unmet.as_slice())
    }
}

impl Held {
    /// Whether what is given there under these conditions holds only where this does. An attribute
    /// is noted of somebody in one tenant, or in the installation, and means nothing elsewhere.
    fn covers(&self, there: Place, under: Option<&RoleConditions>) -> bool {
        let Some(own) = &self.under else { return true };
        let is_same_book = own.attributes.is_empty() || self.place.tenant() == there.tenant();
        is_same_book && under.is_some_and(|given| given.is_within(own))
    }
}
