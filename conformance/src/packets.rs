//! Packets that are lost on the way, and connections that are torn down.
//!
//! If a socket has a filter that lets nothing pass, the kernel itself drops its incoming packets:
//! nothing is acknowledged, the sender retransmits again and again, and a dial is never answered.
//! This needs no privilege. It works on Linux only; elsewhere a test has to make do with silence.

use std::os::fd::AsFd;

/// How packets are lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// The kernel drops them.
    InTheKernel,
    /// They arrive, and the receiver ignores them.
    InSilence,
}

/// Drops all incoming packets of this socket from now on, listening or connected.
#[cfg(target_os = "linux")]
pub(crate) fn lose(socket: &impl AsFd) -> Loss {
    // One instruction: of each packet, keep no byte.
    let nothing = [socket2::SockFilter::new(RETURN, 0, 0, 0)];
    match socket2::SockRef::from(socket).attach_filter(&nothing) {
        Ok(()) => Loss::InTheKernel,
        Err(_) => Loss::InSilence,
    }
}

/// Lets incoming packets of this socket through again, also retransmissions of lost ones.
#[cfg(target_os = "linux")]
pub(crate) fn find(socket: &impl AsFd) {
    let _ = socket2::SockRef::from(socket).detach_filter();
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn lose(_: &impl AsFd) -> Loss {
    Loss::InSilence
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn find(_: &impl AsFd) {}

/// Tears a connection down (RST), even if there are other handles to it.
pub(crate) fn reset(socket: &impl AsFd) {
    let _ = rustix::net::connect_unspec(socket);
}

/// `BPF_RET | BPF_K`, from `linux/bpf_common.h`.
#[cfg(target_os = "linux")]
const RETURN: u16 = 0x06;
