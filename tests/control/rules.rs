//! The settings that the rig's agent lives by.

use std::collections::BTreeMap;

use labtop::domain::control::Rules;
use labtop::domain::door::DoorPolicy;
use labtop::domain::settings::RouteAuth;
use labtop::domain::template::{ACTIVITY, Egress, SeatUser, Selection, Template};

pub fn rules() -> Rules {
    let template = Template {
        name: "t".parse().unwrap(),
        image: "image".into(),
        command: Vec::new(),
        user: SeatUser { uid: 1000, gid: 1000 },
        port: None,
        memory_bytes: 1,
        millicpus: 1000,
        pids: 10,
        nofile: 10,
        network: Egress::Open,
        workspace: "/workspace".into(),
        minutes: 180,
        starter: None,
        env: BTreeMap::new(),
        cap_add: Vec::new(),
        read_only: false,
        runtime: None,
        archive: Selection::default(),
        autosave: None,
        idle_minutes: Some(20),
        activity: ACTIVITY.to_vec(),
        door: DoorPolicy::default(),
    };
    Rules {
        default_template: template.name.clone(),
        templates: BTreeMap::from([(template.name.clone(), template)]),
        auth: RouteAuth::Gateway,
        rule: labtop::domain::routes::RouteRule::Path,
        warn_minutes: vec![15, 5],
        accept_engine: false,
    }
}

/// The same with a template whose door a test is about.
pub fn rules_with(set: impl FnOnce(&mut DoorPolicy)) -> Rules {
    let mut rules = rules();
    if let Some(template) = rules.templates.get_mut(&rules.default_template) {
        set(&mut template.door);
    }
    rules
}
