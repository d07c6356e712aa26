//! What a seat is made of, in the engine's words: limits, hardening, labels, and the digest of it all.
//!
//! Pure: from an order to a request. Must not know whether the seat exists.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount, MountType, ResourcesUlimits};
use sha2::{Digest, Sha256};

use super::{Docker, starter};
use crate::domain::effect::SeatOrder;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::hex::hex;
use crate::domain::ids::{InstanceId, SeatId, StudentId};
use crate::domain::names::{
    Kind, LABEL_INSTANCE, LABEL_KIND, LABEL_OWNER, LABEL_ROOM, LABEL_SESSION, LABEL_SPEC, LABEL_STUDENT,
};
use crate::domain::routes::ProxyRoute;
use crate::domain::seen::ContainerSeen;
use crate::domain::settings::Provider;
use crate::domain::template::Egress;

/// Whether the workspace was new when the container was made; see [`super::provision`].
pub(super) const LABEL_WORKSPACE: &str = "io.labtop.workspace";
/// The label's value for a workspace that nobody has worked in.
pub(super) const WORKSPACE_NEW: &str = "new";
/// The label's value for a workspace that a seat has used before.
pub(super) const WORKSPACE_KEPT: &str = "kept";

/// When the host runs out of memory the kernel takes seats (500 of 1000) before the host's services.
const OOM_SCORE_ADJ: i64 = 500;
/// A seat's log takes at most 2 × 5 MB on the host, whatever the student prints.
const LOG_SIZE: &str = "5m";
const LOG_FILES: &str = "2";
/// `/tmp` of a seat with a read-only root; counts as the seat's memory.
const TMPFS: &str = "rw,nosuid,nodev,mode=1777,size=67108864";
/// Where a closed seat's names are asked for: a port of its own loopback, where nobody answers. Without this, engines
/// before 25.0 pass its questions on to the host's resolver, which is a way out.
pub(super) const NO_RESOLVER: &str = "127.0.0.1";
/// Longest host name that every program accepts.
const HOSTNAME_MAX: usize = 63;

/// The labels that identify a thing of one seat.
pub(super) fn identity(instance: &InstanceId, seat: &SeatId, session: u64, kind: Kind) -> HashMap<String, String> {
    HashMap::from([
        (LABEL_INSTANCE.into(), instance.to_string()),
        (LABEL_ROOM.into(), seat.room.to_string()),
        (LABEL_STUDENT.into(), seat.student.to_string()),
        (LABEL_SESSION.into(), session.to_string()),
        (LABEL_KIND.into(), kind.as_str().into()),
    ])
}

/// Whose thing it is, read from its labels; `None` unless every one is there and of this instance.
pub(super) fn owner(instance: &InstanceId, labels: &HashMap<String, String>, kind: Kind) -> Option<(SeatId, u64)> {
    let label = |name: &str| labels.get(name).map(String::as_str);
    if label(LABEL_INSTANCE) != Some(instance.as_str()) || label(LABEL_KIND) != Some(kind.as_str()) {
        return None;
    }
    let seat = SeatId::new(label(LABEL_ROOM)?.parse().ok()?, label(LABEL_STUDENT)?.parse().ok()?);
    Some((seat, label(LABEL_SESSION)?.parse().ok()?))
}

impl Docker {
    /// The whole request for a seat's container, its own digest among the labels.
    pub(super) fn seat_body(
        &self,
        order: &SeatOrder,
        starter_digest: &str,
        workspace: &str,
    ) -> Result<ContainerCreateBody, Fault> {
        let template = &order.template;
        let mut body = ContainerCreateBody {
            hostname: Some(hostname(&order.seat.student)),
            user: Some(format!("{}:{}", template.user.uid, template.user.gid)),
            env: Some(environment(order)),
            cmd: (!template.command.is_empty()).then(|| template.command.clone()),
            image: Some(template.image.clone()),
            working_dir: Some(template.workspace.clone()),
            labels: Some(self.seat_labels(order)),
            host_config: Some(self.host_config(order)?),
            ..Default::default()
        };
        let digest = digest(&body, starter_digest)?;
        let labels = body.labels.get_or_insert_default();
        labels.insert(LABEL_SPEC.into(), digest);
        labels.insert(LABEL_WORKSPACE.into(), workspace.into());
        Ok(body)
    }

    /// Whether a container was made from another specification than the seat would be made from today: by an older
    /// labtop, or before the configuration was changed. Its labels cannot change any more.
    pub async fn has_drifted(&self, order: &SeatOrder, seen: &ContainerSeen) -> bool {
        let files = starter::upload(&order.template, super::provision::split(order).1).await;
        let digests = files.ok().map(|files| files.digest).into_iter().chain([String::new()]);
        let today = digests.filter_map(|digest| {
            let labels = self.seat_body(order, &digest, WORKSPACE_NEW).ok()?.labels?;
            labels.get(LABEL_SPEC).cloned()
        });
        // What cannot be told is not told.
        let today: Vec<String> = today.collect();
        !seen.spec.is_empty() && !today.is_empty() && !today.contains(&seen.spec)
    }

    fn host_config(&self, order: &SeatOrder) -> Result<HostConfig, Fault> {
        let template = &order.template;
        let memory = i64::try_from(template.memory_bytes).map_err(|_| {
            Fault::new(
                FaultCode::BadTemplate,
                format!("template {}: memory is too much", template.name),
            )
        })?;
        let tmpfs = template
            .read_only
            .then(|| HashMap::from([("/tmp".to_owned(), TMPFS.to_owned())]));
        Ok(HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(i64::from(template.millicpus) * 1_000_000),
            pids_limit: Some(i64::from(template.pids)),
            ulimits: Some(vec![ResourcesUlimits {
                name: Some("nofile".into()),
                soft: Some(i64::from(template.nofile)),
                hard: Some(i64::from(template.nofile)),
            }]),
            cap_drop: Some(vec!["ALL".into()]),
            cap_add: (!template.cap_add.is_empty()).then(|| template.cap_add.clone()),
            security_opt: Some(vec!["no-new-privileges".into()]),
            init: Some(true),
            oom_score_adj: Some(OOM_SCORE_ADJ),
            log_config: Some(bounded_log()),
            readonly_rootfs: template.read_only.then_some(true),
            tmpfs,
            runtime: template.runtime.clone(),
            dns: (template.network == Egress::Closed).then(|| vec![NO_RESOLVER.into()]),
            network_mode: Some(self.inner.names.network(&order.seat.room)),
            mounts: Some(vec![volume_mount(
                self.inner.names.volume(&order.seat, order.session),
                &template.workspace,
            )]),
            ..Default::default()
        })
    }

    fn seat_labels(&self, order: &SeatOrder) -> HashMap<String, String> {
        let seat = &order.seat;
        let mut labels = identity(&self.inner.options.instance, seat, order.session, Kind::Seat);
        labels.insert(LABEL_OWNER.into(), seat.student.to_string());
        if let Some(port) = order.template.port {
            labels.extend(self.route_labels(order, port));
        }
        labels
    }

    /// The contract with Traefik's Docker provider, unless Traefik hears of routes elsewhere. Without a gateway a guarded
    /// route answers nobody.
    fn route_labels(&self, order: &SeatOrder, port: u16) -> Vec<(String, String)> {
        let routing = &self.inner.options.routing;
        if routing.provider == Provider::Http {
            return Vec::new();
        }
        let name = self.inner.names.seat(&order.seat);
        let route = ProxyRoute::of(&name, &order.route, routing);
        let router = format!("traefik.http.routers.{name}");
        let mut labels = vec![
            ("traefik.enable".into(), "true".into()),
            (
                "traefik.docker.network".into(),
                self.inner.names.network(&order.seat.room),
            ),
            (format!("{router}.rule"), route.rule),
            (format!("{router}.service"), name.clone()),
            (
                format!("traefik.http.services.{name}.loadbalancer.server.port"),
                port.to_string(),
            ),
        ];
        let mut middlewares = Vec::new();
        if let Some(address) = route.auth {
            middlewares.push(format!("{name}-auth"));
            let auth = format!("traefik.http.middlewares.{name}-auth.forwardauth");
            labels.push((format!("{auth}.address"), address));
            // The gateway's answer takes the place of the visitor's cookies: a seat's program never sees a session.
            labels.push((format!("{auth}.authresponseheaders"), "Cookie".into()));
        }
        if let Some(prefix) = route.strip {
            // After the door, which judges by the whole path.
            middlewares.push(format!("{name}-strip"));
            let prefixes = format!("traefik.http.middlewares.{name}-strip.stripprefix.prefixes");
            labels.push((prefixes, prefix));
        }
        if !middlewares.is_empty() {
            labels.push((format!("{router}.middlewares"), middlewares.join(",")));
        }
        labels
    }
}

fn environment(order: &SeatOrder) -> Vec<String> {
    let mut env = order.template.env.clone();
    env.insert("HOME".into(), order.template.workspace.clone());
    env.insert("LABTOP_ROOM".into(), order.seat.room.to_string());
    env.insert("LABTOP_STUDENT".into(), order.seat.student.to_string());
    env.into_iter().map(|(key, value)| format!("{key}={value}")).collect()
}

fn bounded_log() -> HostConfigLogConfig {
    HostConfigLogConfig {
        typ: Some("local".into()),
        config: Some(HashMap::from([
            ("max-size".into(), LOG_SIZE.into()),
            ("max-file".into(), LOG_FILES.into()),
        ])),
    }
}

/// A named volume at `target`, writable.
pub(super) fn volume_mount(volume: String, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume),
        target: Some(target.into()),
        ..Default::default()
    }
}

/// The student's id as a host name: what is not allowed becomes `-`; two students may share one.
fn hostname(student: &StudentId) -> String {
    let name: String = student
        .as_str()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(HOSTNAME_MAX)
        .collect();
    name.trim_matches('-').to_owned()
}

/// SHA-256 of the request as JSON with sorted keys, and of the starter files: two seats with one digest are alike.
fn digest(body: &ContainerCreateBody, starter_digest: &str) -> Result<String, Fault> {
    let value = serde_json::to_value(body)
        .map_err(|error| Fault::new(FaultCode::BadTemplate, format!("the seat cannot be described: {error}")))?;
    let mut hasher = Sha256::new();
    hasher.update(value.to_string());
    hasher.update(starter_digest);
    Ok(hex(&hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_harmless() {
        let name = |id: &str| hostname(&id.parse().unwrap());
        assert_eq!(name("An.b_"), "an-b");
        assert_eq!(name(&"a".repeat(64)).len(), HOSTNAME_MAX);
    }

    #[test]
    fn the_digest_does_not_depend_on_the_order_of_maps() {
        let body = |pairs: &[(&str, &str)]| ContainerCreateBody {
            labels: Some(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect()),
            ..Default::default()
        };
        let pairs: Vec<(&str, &str)> = vec![("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")];
        let mut reversed = pairs.clone();
        reversed.reverse();
        assert_eq!(
            digest(&body(&pairs), "").unwrap(),
            digest(&body(&reversed), "").unwrap()
        );
        assert_ne!(
            digest(&body(&pairs), "").unwrap(),
            digest(&body(&pairs[1..]), "").unwrap()
        );
        assert_ne!(digest(&body(&pairs), "").unwrap(), digest(&body(&pairs), "x").unwrap());
    }
}
