//! Whatever on the engine bears labtop's labels, whosever it is: what a lost ledger is made of again.
//!
//! Only looks. Labels were written by labtop, or by anybody else who may use the engine: what makes no sense is passed
//! over.

use std::collections::HashMap;

use bollard::models::ContainerSummaryStateEnum as Status;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder};

use super::Docker;
use crate::domain::effect::SeatOrder;
use crate::domain::fault::{Fault, FaultCode};
use crate::domain::ids::StudentId;
use crate::domain::names::{
    Kind, LABEL_INSTANCE, LABEL_KIND, LABEL_ORIGIN, LABEL_ROOM, LABEL_SESSION, LABEL_STUDENT, SESSION_MAX,
};
use crate::domain::policy::MOMENT_MAX_UNIX_MS;
use crate::domain::relics::{Origin, Told, Trace, TraceOf};
use crate::domain::routes::ProxyRoute;
use crate::domain::seen::RunState;

type Labels = HashMap<String, String>;

impl Docker {
    /// Everything on the engine that bears labtop's labels, of every instance.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn traces(&self) -> Result<Vec<Trace>, Fault> {
        let mut traces = self.container_traces().await?;
        traces.extend(self.volume_traces().await?);
        traces.extend(self.network_traces().await?);
        Ok(traces)
    }

    async fn container_traces(&self) -> Result<Vec<Trace>, Fault> {
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&labelled())
            .build();
        let call = self.client()?.list_containers(Some(options));
        let found = self.read("listing containers", call).await?;
        let traces = found.into_iter().filter_map(|container| {
            let labels = container.labels?;
            let of = match kind(&labels)? {
                kind if kind == Kind::Seat.as_str() => TraceOf::Container {
                    student: student(&labels)?,
                    state: run_state(container.state),
                    route: route(&labels),
                },
                kind if kind == Kind::Carrier.as_str() => TraceOf::Carrier,
                _ => return None,
            };
            trace(&labels, of)
        });
        Ok(traces.collect())
    }

    async fn volume_traces(&self) -> Result<Vec<Trace>, Fault> {
        let options = ListVolumesOptionsBuilder::new().filters(&labelled()).build();
        let call = self.client()?.list_volumes(Some(options));
        let found = self.read("listing volumes", call).await?.volumes.unwrap_or_default();
        let traces = found.into_iter().filter_map(|volume| {
            let labels = volume.labels;
            if kind(&labels)? != Kind::Volume.as_str() {
                return None;
            }
            let student = student(&labels)?;
            let told = told(labels.get(LABEL_ORIGIN));
            trace(&labels, TraceOf::Volume { student, told })
        });
        Ok(traces.collect())
    }

    async fn network_traces(&self) -> Result<Vec<Trace>, Fault> {
        let options = ListNetworksOptionsBuilder::new().filters(&labelled()).build();
        let call = self.client()?.list_networks(Some(options));
        let found = self.read("listing networks", call).await?;
        let traces = found.into_iter().filter_map(|network| {
            let labels = network.labels?;
            let closed = network.internal.unwrap_or_default();
            let mine = kind(&labels)? == Kind::Network.as_str();
            mine.then(|| trace(&labels, TraceOf::Network { closed }))?
        });
        Ok(traces.collect())
    }
}

/// The label of a workspace from which its room can be made again. Students do not see it; it holds no secret.
pub(super) fn origin_label(order: &SeatOrder) -> Result<(String, String), Fault> {
    let origin = Origin {
        template: order.template.clone(),
        exam: order.exam,
        route: order.route.clone(),
        opened_unix_ms: order.opened_unix_ms,
        opened_by: order.opened_by.clone(),
    };
    let text = serde_json::to_string(&origin)
        .map_err(|error| Fault::new(FaultCode::BadTemplate, format!("the seat cannot be described: {error}")))?;
    Ok((LABEL_ORIGIN.to_owned(), text))
}

/// The template's name alone outlives a change of the template's form.
fn told(label: Option<&String>) -> Told {
    let Some(text) = label else { return Told::Nothing };
    match serde_json::from_str::<Origin>(text) {
        Ok(origin) if origin.opened_unix_ms <= MOMENT_MAX_UNIX_MS => Told::Whole(Box::new(origin)),
        _ => name(text).map_or(Told::Nothing, Told::Name),
    }
}

fn name(text: &str) -> Option<crate::domain::ids::TemplateName> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    value.get("template")?.get("name")?.as_str()?.parse().ok()
}

fn labelled() -> HashMap<&'static str, Vec<String>> {
    HashMap::from([("label", vec![LABEL_INSTANCE.to_owned()])])
}

fn kind(labels: &Labels) -> Option<&str> {
    labels.get(LABEL_KIND).map(String::as_str)
}

fn student(labels: &Labels) -> Option<StudentId> {
    labels.get(LABEL_STUDENT)?.parse().ok()
}

fn trace(labels: &Labels, of: TraceOf) -> Option<Trace> {
    Some(Trace {
        instance: labels.get(LABEL_INSTANCE)?.parse().ok()?,
        room: labels.get(LABEL_ROOM)?.parse().ok()?,
        session: labels
            .get(LABEL_SESSION)?
            .parse()
            .ok()
            .filter(|session| *session <= SESSION_MAX)?,
        of,
    })
}

/// The seat's route, out of the rule that Traefik is given.
fn route(labels: &Labels) -> Option<String> {
    let rule = labels.iter().find_map(|(name, rule)| {
        let router = name.strip_prefix("traefik.http.routers.")?;
        router.strip_suffix(".rule").map(|_| rule)
    })?;
    ProxyRoute::route_in(rule)
}

fn run_state(status: Option<Status>) -> RunState {
    match status {
        Some(Status::PAUSED) => RunState::Paused,
        Some(Status::CREATED) => RunState::Created,
        Some(Status::EXITED) => RunState::Exited,
        Some(Status::DEAD | Status::REMOVING) => RunState::Dead,
        Some(Status::RUNNING | Status::RESTARTING | Status::STOPPING | Status::EMPTY) | None => RunState::Running,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_wrote_still_tells_the_templates_name() {
        let text = r#"{"template":{"name":"node","shape":"of a later form"},"exam":false}"#.to_owned();
        assert_eq!(told(Some(&text)), Told::Name("node".parse().unwrap()));
        for odd in ["", "{}", "[]", r#"{"template":{"name":"No Name"}}"#] {
            assert_eq!(told(Some(&odd.to_owned())), Told::Nothing, "{odd}");
        }
        assert_eq!(told(None), Told::Nothing);
    }

    #[test]
    fn labels_that_make_no_sense_are_passed_over() {
        let labels = |session: &str, room: &str| {
            Labels::from([
                (
                    LABEL_INSTANCE.to_owned(),
                    "6f1b7a52-0000-4000-8000-000000000000".to_owned(),
                ),
                (LABEL_ROOM.to_owned(), room.to_owned()),
                (LABEL_SESSION.to_owned(), session.to_owned()),
            ])
        };
        assert_eq!(trace(&labels("7", "a"), TraceOf::Carrier).unwrap().session, 7);
        for (session, room) in [("18446744073709551615", "a"), ("-1", "a"), ("", "a"), ("1", "../a")] {
            assert_eq!(
                trace(&labels(session, room), TraceOf::Carrier),
                None,
                "{session} {room}"
            );
        }
    }

    #[test]
    fn the_route_is_read_out_of_the_rule() {
        let rule = "Path(`/api/r/a~b`) || PathPrefix(`/api/r/a~b/`)";
        let labels = Labels::from([("traefik.http.routers.lab-1_a_b.rule".to_owned(), rule.to_owned())]);
        assert_eq!(route(&labels).as_deref(), Some("/api/r/a~b"));
        assert_eq!(route(&Labels::new()), None);
    }
}
