//! The doctor: what works, what does not, and what to do about it.

use super::isolation;
use super::world::World;
use crate::domain::command::{Check, ENGINE_CHECK};
use crate::domain::effect::SeatOrder;
use crate::domain::fault::Fault;
use crate::domain::seen::ContainerSeen;
use crate::world::leases::Leases;
use crate::world::meter::CgroupMeter;

/// Free space below which a closing of a full room may not fit.
const DISK_LOW_BYTES: u64 = 1 << 30;
/// Free subnets below which rooms will soon not open.
const SUBNETS_LOW: usize = 4;

/// What helps a damaged ledger.
const LEDGER_HINT: &str = "Stop the agent, then put a backup in the ledger's place, or run `labtop ledger rebuild`";

/// Looks at everything that rooms depend on.
pub(super) async fn examine(
    world: &World,
    strange: Option<String>,
    orphans: Vec<String>,
    made: Option<Vec<(SeatOrder, ContainerSeen)>>,
) -> Vec<Check> {
    // At once: a hung engine is waited for by each that asks it.
    let (engine, holes, firewall, limits, subnets, ledger, store, leases, drift) = tokio::join!(
        engine(world, strange),
        isolation::holes(world),
        isolation::walls(world),
        limits(world),
        subnets(world),
        ledger(world),
        store(world),
        leases(world),
        drift(world, made)
    );
    vec![
        engine,
        holes,
        firewall,
        limits,
        subnets,
        meter(world),
        ledger,
        store,
        leases,
        drift,
        strangers(&orphans),
    ]
}

fn failed(name: &str, fault: Fault) -> Check {
    Check::fail(name, fault.text, fault.hint)
}

async fn engine(world: &World, strange: Option<String>) -> Check {
    if let Some(why) = strange {
        return Check::fail(ENGINE_CHECK, why, "");
    }
    match world.docker.hello().await {
        Ok(info) => Check::ok(ENGINE_CHECK, format!("Docker {} (API {})", info.version, info.api)),
        Err(fault) => failed(ENGINE_CHECK, fault),
    }
}

async fn leases(world: &World) -> Check {
    match (&world.leases, world.leases.list(&[]).await) {
        (Leases::Embedded(_), Ok(_)) => Check::ok("leases", "embedded in the ledger"),
        (Leases::Redis(_), Ok(there)) => Check::ok("leases", format!("Redis holds {} of this instance", there.len())),
        // The ledger serves them meanwhile.
        (_, Err(fault)) => Check::warn("leases", fault.text, fault.hint),
    }
}

async fn limits(world: &World) -> Check {
    match world.docker.unenforced().await {
        Ok(limits) if limits.is_empty() => Check::ok("limits", "the engine enforces memory, swap, CPU and processes"),
        Ok(limits) => {
            let text = format!("the engine does not enforce {}", limits.join(", "));
            Check::fail("limits", text, "Rooms do not open; see the warnings of `docker info`")
        }
        Err(fault) => failed("limits", fault),
    }
}

async fn subnets(world: &World) -> Check {
    match world.docker.subnets_free().await {
        Ok((free, total)) if free < SUBNETS_LOW => {
            let hint = "Close rooms, or give `[network] pool` a larger range";
            Check::warn("subnets", format!("{free} of {total} subnets are free"), hint)
        }
        Ok((free, total)) => Check::ok("subnets", format!("{free} of {total} subnets are free")),
        Err(fault) => failed("subnets", fault),
    }
}

fn meter(world: &World) -> Check {
    if !world.docker.is_local() {
        return Check::ok("meter", "the engine is remote: figures come from its statistics");
    }
    if CgroupMeter::default().usable() {
        return Check::ok("meter", "figures come from cgroup files");
    }
    Check::warn(
        "meter",
        "the cgroup files cannot be read",
        "Figures come from the engine's statistics, at a cost",
    )
}

async fn ledger(world: &World) -> Check {
    match world.ledger.integrity().await {
        Ok(text) if text == "ok" => Check::ok("ledger", "sound"),
        Ok(text) => Check::fail("ledger", text, LEDGER_HINT),
        Err(fault) => failed("ledger", fault),
    }
}

async fn store(world: &World) -> Check {
    match world.archives.store().check().await {
        Ok(Some(space)) if space.free_bytes < DISK_LOW_BYTES => {
            let text = format!("{} MiB are free", space.free_bytes >> 20);
            Check::warn("archive store", text, "Free space before you close rooms")
        }
        Ok(None) => Check::ok("archive store", "writable"),
        Ok(Some(space)) => Check::ok(
            "archive store",
            format!("writable, {} GiB free", space.free_bytes >> 30),
        ),
        Err(fault) => failed("archive store", fault),
    }
}

/// Seats whose containers are not what they would be made as today.
async fn drift(world: &World, made: Option<Vec<(SeatOrder, ContainerSeen)>>) -> Check {
    let Some(made) = made else {
        return Check::warn(
            "drift",
            "the seats have not been looked at yet",
            "Ask again in a moment",
        );
    };
    let mut drifted = Vec::new();
    for (order, seen) in &made {
        if world.docker.has_drifted(order, seen).await {
            drifted.push(order.seat.to_string());
        }
    }
    if drifted.is_empty() {
        return Check::ok("drift", "every seat is as it would be made today");
    }
    let text = format!("made from another specification than today's: {}", drifted.join(", "));
    Check::warn(
        "drift",
        text,
        "They go on as they are; close their rooms, which archives them, and open them again",
    )
}

fn strangers(orphans: &[String]) -> Check {
    if orphans.is_empty() {
        return Check::ok("orphans", "none");
    }
    let text = format!(
        "labelled as this instance's, but not in its ledger: {}",
        orphans.join(", ")
    );
    Check::warn(
        "orphans",
        text,
        "They are left alone; look into them, then remove them with docker",
    )
}
