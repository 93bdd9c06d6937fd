//! A connection comes: for whom a proxy has it, whether there is room for one more from there,
//! and what scripts say to it. Then the hub greets it (`login`).

use std::net::SocketAddr;

use plugin_abi::{Hook, Value};

use super::connection::{Connection, Link, Stage};
use super::networks::Network;
use super::proxy::{self, Header};
use super::{CloseReason, ConnId, Hub};

impl Hub {
    /// Takes a new connection and greets it. If a script does not want it, it is closed at the
    /// end of the turn, with nothing said.
    pub(super) fn connect(&mut self, link: Link, peer: SocketAddr, server_port: u16) -> ConnId {
        let input = self.broadcast.keep(&[]);
        let mut connection = Connection::new(link, peer, server_port, input);
        if self.settings.trusted_proxies.contain(connection.ip) {
            connection.stage = Stage::Proxy;
            let id = self.connections.insert(connection);
            self.set_deadline(id, self.settings.timeout_key);
            return id;
        }
        let id = self.connections.insert(connection);
        self.meet(id);
        id
    }

    /// Greets a client whose address is known.
    fn meet(&mut self, id: ConnId) {
        if !self.take_place(id) {
            return;
        }
        let ip = self.ip_of(id);
        if self.raise_for(id, Hook::OnNewConn, &[Value::text(&*ip)]).blocked {
            self.close(id, CloseReason::Plugin);
        } else {
            self.greet(id);
        }
    }

    /// Counts a connection among those of its network that are on their way in. When they are
    /// too many, the one that has been idle for longest goes, or the new one if none is idle.
    fn take_place(&mut self, id: ConnId) -> bool {
        let Some(ip) = self.connections.get(id).map(|connection| connection.ip) else { return false };
        let most = usize::try_from(self.settings.max_logins_from_ip).unwrap_or(0);
        if most == 0 || self.settings.limit_exempt.contain(ip) {
            return true;
        }
        let network = Network::of(ip);
        if self.places.count(network) >= most && !self.make_room(Some(network)) {
            let text = "Too many connections from your address are logging in; try again later.";
            self.dismiss_at_once(id, text);
            return false;
        }
        let place = self.places.take(network);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.place = Some(place);
        }
        true
    }

    /// Closes the connection that has been idle for longest on its way in, of a network or of
    /// all. False when there is none.
    pub(super) fn make_room(&mut self, network: Option<Network>) -> bool {
        let idle = self.connections.iter().filter(|(_, connection)| {
            connection.is_open()
                && connection.stage != Stage::LoggedIn
                && connection.pause.is_none()
                && network.is_none_or(|network| {
                    connection.stage != Stage::Proxy && Network::of(connection.ip) == network
                })
        });
        let Some((longest, _)) = idle.min_by_key(|(_, connection)| connection.since) else { return false };
        self.dismiss_at_once(longest, "Others want to log in, and your client was idle for longest.");
        true
    }

    /// Says why, and closes a connection without waiting for the client to do so too.
    fn dismiss_at_once(&mut self, id: ConnId, text: &str) {
        self.dismiss(id, CloseReason::UserLimit, text);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.hung_up = true;
            connection.place = None;
        }
    }

    /// Reads what a proxy says about its client. Gives how many bytes that was.
    pub(super) fn read_proxy(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let (length, client) = match proxy::parse(bytes) {
            Header::Part => return 0,
            Header::Whole { length, client } => (length, client),
            Header::Wrong => {
                let ip = self.ip_of(id);
                log::warn!("{} is a trusted proxy and sent no PROXY header", self.readable(&ip));
                self.close(id, CloseReason::Syntax);
                return 0;
            }
        };
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        connection.stage = Stage::Connected;
        if let Some(client) = client {
            connection.set_peer(client);
        }
        self.meet(id);
        length
    }
}
