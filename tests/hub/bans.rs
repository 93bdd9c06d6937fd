//! Bans of each kind refuse the next login, also after a restart.

use crate::support::skip;

use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, all, eval};

/// What a login with this share from this host gets: what the hub said before it closed the
/// connection, or nothing when it let the user in.
pub fn login(hub: &TestHub, host: u8, nick: &str, share: u64) -> Option<String> {
    let mut client = Client::connect(hub, host);
    client.wait_for("$Lock");
    client.send(&format!(
        "$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|$GetNickList|$MyINFO $ALL {nick} d<t V:1,M:A>$ $5\x01$${share}$|"
    ));
    let mut said = Vec::new();
    while let Some(message) = client.next() {
        let message = String::from_utf8_lossy(&message).into_owned();
        if message.starts_with("$OpList ") {
            return None;
        }
        said.push(message);
    }
    Some(said.join("|"))
}

pub fn refused(hub: &TestHub, host: u8, nick: &str, share: u64) {
    let said = login(hub, host, nick, share);
    let said = said.unwrap_or_else(|| panic!("{nick} of 127.0.0.{host}, {share} was let in"));
    assert!(said.contains("banned from this hub") && said.contains("because: why"), "{said}");
}

pub fn welcome(hub: &TestHub, host: u8, nick: &str, share: u64) {
    assert_eq!(login(hub, host, nick, share), None, "{nick} of 127.0.0.{host}, {share}");
}

/// Bans of each kind; who is refused for them, and who is not.
fn bans_hold(hub: &TestHub) {
    for (host, nick, share) in [
        (20, "by_ip", 1),
        (21, "ByNick", 1),
        (22, "x", 4711),
        (23, "[EVIL]x", 1),
        (64, "x", 1),
        (127, "x", 1),
        (24, "nick_and_ip", 1),
    ] {
        refused(hub, host, nick, share);
    }
    for (host, nick, share) in [
        (25, "by_ip2", 1),
        (25, "ByNick2", 1),
        (25, "x", 4712),
        (25, "x[EVIL]", 1),
        (63, "x", 1),
        (128, "x", 1),
    ] {
        welcome(hub, host, nick, share);
    }
}

#[test]
fn bans_of_each_kind_outlive_the_hub() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let password = hub.password.clone();
    all(
        &mut master,
        &[
            ("vh.Ban('master', '127.0.0.20', 'why', 3600, vh.eBF_IP)", "True"),
            ("vh.Ban('master', 'bynick', 'why', 0, vh.eBF_NICK)", "True"),
            ("vh.Ban('master', '4711', 'why', 0, vh.eBF_SHARE)", "True"),
            ("vh.Ban('master', '[evil]', 'why', 0, vh.eBF_PREFIX)", "True"),
            ("vh.Ban('master', '127.0.0.64/26', 'why', 0, vh.eBF_RANGE)", "True"),
            ("vh.Ban('master', 'nick_and_ip', 'why', 0, vh.eBF_NICKIP)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST1)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST2)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST3)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOSTR1)", "True"),
            // What such a ban cannot go by.
            ("vh.Ban('master', 'no address', 'why', 0, vh.eBF_IP)", "False"),
            ("vh.Ban('master', 'no range', 'why', 0, vh.eBF_RANGE)", "False"),
            ("vh.Ban('master', 'no share', 'why', 0, vh.eBF_SHARE)", "False"),
            ("vh.Ban('master', 'example', 'why', 0, vh.eBF_HOST3)", "False"),
            ("vh.Ban('master', '', 'why', 0, vh.eBF_NICK)", "False"),
            (
                "vh.SQL('select nick, ip from banlist where ban_type between 4 and 9 order by ban_type')",
                "(1, [['.example', '_host1ban_'], ['.b.example', '_host2ban_'], ['.a.b.example', '_host3ban_'], \
                 ['_shareban_', '4711'], ['[evil]', '_prefixban_'], ['a', '_hostr1ban_']])",
            ),
        ],
    );
    bans_hold(&hub);
    let hub = HubBuilder::in_folder(hub.stop()).start();
    bans_hold(&hub);
    let hub = HubBuilder::in_folder(hub.kill()).start();
    bans_hold(&hub);
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    for what in ["bynick", "127.0.0.64/26", "127.0.0.20"] {
        master.chat(&format!("!unban {what} sorry"));
        master.wait_for("One ban was lifted.");
    }
    master.chat("!unban bynick");
    master.wait_for("There is no ban of bynick");
    welcome(&hub, 21, "ByNick", 1);
    welcome(&hub, 64, "x", 1);
    welcome(&hub, 20, "by_ip", 1);
    refused(&hub, 22, "x", 4711);
    let lifted = "vh.SQL(\"select unban_op, unban_reason from unbanlist where nick = 'bynick'\")";
    assert_eq!(eval(&mut master, lifted), "(1, [['master', 'sorry']])");
}

#[test]
fn bans_by_host_refuse() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let _nick = hub.guest("nick");
    let host = eval(&mut master, "vh.GetUserHost('nick')").trim_matches('\'').to_string();
    if host.is_empty() {
        return skip::skip("127.0.0.1 has no name here", "a line for it in /etc/hosts");
    }
    for kind in ["HOST1", "HOSTR1"] {
        assert_eq!(
            eval(&mut master, &format!("vh.Ban('master', '{host}', 'why', 0, vh.eBF_{kind})")),
            "True"
        );
        refused(&hub, 1, "other", 5);
        assert_eq!(eval(&mut master, "vh.SQL('delete from banlist')"), "(1, [])");
        welcome(&hub, 1, "other", 5);
    }
}
