//! What the chain can say of its links without asking them.

use std::sync::atomic::Ordering;

use super::{Chain, LINKS, Link, ROLE_ARN};
use crate::credentials::{Finding, State};
use crate::error::shown;
use crate::oidc::TOKEN_FILE;
use crate::surroundings::Surroundings;

const CONTAINER: [&str; 2] = [
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

impl Chain {
    pub fn explain_in(&self, around: &dyn Surroundings) -> Vec<Finding> {
        let taken = usize::from(self.taken.load(Ordering::Acquire));
        let mut is_settled = false;
        let mut findings = Vec::new();
        for (index, link) in (1..).zip(LINKS) {
            let (state, reason) = link.foresee(around);
            let (state, reason) = match (taken, is_settled) {
                (0, false) => (state, reason),
                (0, true) => (State::NotReached, "what is above comes first".to_owned()),
                _ if index == taken => (State::Taken, "it has given the credentials".to_owned()),
                _ if index > taken => (
                    State::NotReached,
                    "what is above has given the credentials".to_owned(),
                ),
                // It may have been there and empty.
                _ if state == State::PassedOver => (state, reason),
                _ => (State::PassedOver, "it had no credentials".to_owned()),
            };
            is_settled = is_settled || state == State::Taken;
            findings.push(Finding::new(link.name(), state, reason));
        }
        findings
    }
}

impl Link {
    /// What is known without asking.
    fn foresee(self, around: &dyn Surroundings) -> (State, String) {
        let named = |names: &[&str]| {
            names
                .iter()
                .find(|name| around.is_set(name))
                .map(|name| format!("{name} is set"))
        };
        let unset = |names: &[&str]| (State::PassedOver, format!("{} not set", names.join(" and ")));
        match self {
            Link::Environment => match (
                around.is_set("AWS_ACCESS_KEY_ID"),
                around.is_set("AWS_SECRET_ACCESS_KEY"),
            ) {
                (true, true) => (State::Taken, "AWS_ACCESS_KEY_ID is set".to_owned()),
                (true, false) => (State::PassedOver, "AWS_SECRET_ACCESS_KEY is not set".to_owned()),
                _ => (State::PassedOver, "AWS_ACCESS_KEY_ID is not set".to_owned()),
            },
            Link::Profile => match profile_file(around) {
                Some(reason) => (State::Pending, reason),
                None => (
                    State::PassedOver,
                    "no ~/.aws/config and no ~/.aws/credentials".to_owned(),
                ),
            },
            Link::WebIdentityFile => match (named(&[TOKEN_FILE]), around.is_set(ROLE_ARN)) {
                (Some(reason), true) => (State::Taken, reason),
                (Some(_), false) => (State::Taken, format!("{ROLE_ARN} is missing")),
                (None, _) => unset(&[TOKEN_FILE]),
            },
            Link::Container => match named(&CONTAINER) {
                Some(reason) => (State::Taken, reason),
                None => unset(&CONTAINER),
            },
            Link::InstanceMetadata => match around.variable("AWS_EC2_METADATA_DISABLED") {
                Some(value) if value.eq_ignore_ascii_case("true") => {
                    (State::PassedOver, "AWS_EC2_METADATA_DISABLED=true".to_owned())
                }
                _ => (
                    State::Pending,
                    "asked over the network if nothing else answers".to_owned(),
                ),
            },
        }
    }
}

fn profile_file(around: &dyn Surroundings) -> Option<String> {
    if let Some(profile) = around.variable("AWS_PROFILE") {
        return Some(format!("AWS_PROFILE={}", shown(&profile)));
    }
    let home = around
        .variable("HOME")
        .or_else(|| around.variable("USERPROFILE"))
        .unwrap_or_default();
    let files = [
        ("AWS_CONFIG_FILE", "config"),
        ("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
    ];
    files.iter().find_map(|(variable, name)| {
        let path = around
            .variable(variable)
            .unwrap_or_else(|| format!("{home}/.aws/{name}"));
        around
            .exists(&path)
            .then(|| format!("{} is read when credentials are needed", shown(&path)))
    })
}
