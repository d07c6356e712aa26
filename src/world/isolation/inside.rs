//! The network as a seat has it: a thread of its own enters the network of a container, and what it opens is there.
//!
//! No program runs in the container, so that a report depends on no tool of an image.

use std::fs::File;
use std::io;
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::domain::fault::{Fault, FaultCode};

/// This process's own network.
const OWN: &str = "/proc/self/ns/net";
/// The addresses of IPv6 in the network of the thread that reads it.
const ADDRESSES6: &str = "/proc/thread-self/net/if_inet6";

/// What the datagrams of one look say.
pub(super) type Nonce = [u8; NONCE_BYTES];
pub(super) const NONCE_BYTES: usize = 16;

/// The network of one container.
#[derive(Debug, Clone)]
pub struct Inside {
    network: Arc<File>,
    /// The container's own address.
    pub address: IpAddr,
}

impl Inside {
    /// The network in which that process of this host is.
    ///
    /// # Errors
    /// When it cannot be opened, or is the host's own.
    pub fn of(pid: u32, address: IpAddr) -> Result<Self, Fault> {
        let opened = File::open(format!("/proc/{pid}/ns/net"));
        let network = opened.map_err(|error| cannot(&format!("cannot open the network of process {pid}"), &error))?;
        let own = std::fs::metadata(OWN).map_err(|error| cannot(OWN, &error))?;
        let theirs = network.metadata().map_err(|error| cannot("ns/net", &error))?;
        if (own.dev(), own.ino()) == (theirs.dev(), theirs.ino()) {
            let text = format!("process {pid} is in the host's own network, or the engine is on another host");
            return Err(Fault::new(FaultCode::NotIsolated, text));
        }
        Ok(Self {
            network: Arc::new(network),
            address,
        })
    }

    /// Runs something on a thread that is in this network, and ends the thread.
    ///
    /// # Errors
    /// When the network cannot be entered: it takes root.
    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Fault> {
        let network = Arc::clone(&self.network);
        let thread = std::thread::Builder::new().name("labtop-inside".into()).spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(work())
        });
        let thread = thread.map_err(|error| cannot("no thread", &error))?;
        let done: io::Result<T> = thread
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the thread in it ended early")));
        done.map_err(|error| cannot("cannot enter a seat's network", &error))
    }

    /// Runs something that waits, in the same way.
    ///
    /// # Errors
    /// As [`Inside::run`].
    pub(super) fn run_async<T, F>(&self, work: impl FnOnce() -> F + Send + 'static) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Future<Output = T>,
    {
        let done = self.run(move || {
            // Of this thread alone, so that every socket is made here.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            io::Result::Ok(runtime.block_on(work()))
        })?;
        done.map_err(|error| cannot("cannot wait in a seat's network", &error))
    }

    /// A listener and a socket for datagrams in this network, at the container's address.
    ///
    /// # Errors
    /// When the network cannot be entered, or the address is not there.
    pub(super) fn ears(&self) -> Result<Ears, Fault> {
        let address = self.address;
        let bound = self.run(move || Ears::at(address))?;
        bound.map_err(|error| cannot(&format!("cannot listen at {address}"), &error))
    }

    /// The addresses of IPv6 in this network but for those of the loopback.
    ///
    /// # Errors
    /// When the network cannot be entered.
    pub(super) fn addresses6(&self) -> Result<Vec<String>, Fault> {
        // Without IPv6 in the kernel there is no such file.
        let table = self.run(|| std::fs::read_to_string(ADDRESSES6).unwrap_or_default())?;
        Ok(addresses6(&table))
    }
}

/// Where something may be heard.
pub(super) struct Ears {
    /// Of connections. The kernel takes them, nobody answers.
    pub(super) tcp: TcpListener,
    /// Of datagrams.
    pub(super) udp: UdpSocket,
}

impl Ears {
    /// At an address of the thread's network.
    pub(super) fn at(address: IpAddr) -> io::Result<Self> {
        let udp = UdpSocket::bind((address, 0))?;
        udp.set_nonblocking(true)?;
        Ok(Self {
            tcp: TcpListener::bind((address, 0))?,
            udp,
        })
    }

    /// The ports, of connections and of datagrams.
    pub(super) fn ports(&self) -> io::Result<(u16, u16)> {
        Ok((self.tcp.local_addr()?.port(), self.udp.local_addr()?.port()))
    }

    /// What datagrams have said by now. Who they seem to be from says nothing: on its way one may get another sender.
    pub(super) fn heard(&self) -> Vec<Nonce> {
        let mut said = [0; NONCE_BYTES];
        std::iter::from_fn(|| self.udp.recv(&mut said).ok().map(|_| said)).collect()
    }
}

fn cannot(what: &str, error: &io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "The agent must be root (CAP_SYS_ADMIN) on the engine's own host",
        _ => "",
    };
    Fault::new(FaultCode::NotIsolated, format!("{what}: {error}")).hint(hint)
}

/// The addresses in a table of the kernel's, and the interface of each.
fn addresses6(table: &str) -> Vec<String> {
    let address = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let interface = columns.last().filter(|name| **name != "lo")?;
        let raw = u128::from_str_radix(columns.first()?, 16).ok()?;
        Some(format!("{} on {interface}", std::net::Ipv6Addr::from(raw)))
    };
    table.lines().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_understood() {
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
            fe80000000000000004200fffe000002 05 40 20 80     eth0\n";
        assert_eq!(addresses6(table), ["fe80::42:ff:fe00:2 on eth0"]);
    }

    #[test]
    fn the_hosts_own_network_is_no_seats() {
        let fault = Inside::of(std::process::id(), IpAddr::from([127, 0, 0, 1])).unwrap_err();
        assert!(fault.text.contains("the host's own network"), "{fault}");
    }
}
