//! Who counts as one peer.

use super::peer_address::PeerAddress;
use std::net::{IpAddr, Ipv6Addr};

/// All connections that are as good as from one host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Peer {
    Ip(IpAddr),
    /// All without an address: unix sockets, and requests that came through no socket.
    Local,
}

impl Peer {
    pub(crate) fn of(address: Option<&PeerAddress>) -> Self {
        match address.and_then(PeerAddress::ip).map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => Self::Ip(IpAddr::V4(ip)),
            // A /64 is the least that anybody has, so its addresses are one peer.
            Some(IpAddr::V6(ip)) => {
                let network = ip.to_bits() & !u128::from(u64::MAX);
                Self::Ip(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
            None => Self::Local,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_one_peer() {
        let of = |ip: &str| Peer::of(Some(&PeerAddress::Tcp((ip.parse::<IpAddr>().unwrap(), 1).into())));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::2"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_eq!(Peer::of(None), Peer::Local);
    }
}
