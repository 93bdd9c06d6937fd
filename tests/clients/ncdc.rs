//! Debian's client ncdc, in tmux.

use crate::hub::Hub;
use crate::support::skip::has;
use crate::terminal::{Client, Tmux};
use crate::{free_port, tell_version, wait_for, with_another_keyprint};

impl Client<'_> {
    /// Gives the client a nick and brings it into the hub.
    fn enter(&self, hub: &Hub) {
        self.enter_by(hub, &format!("nmdc://{}/", hub.address));
    }

    /// The same, by an address of the hub's.
    fn enter_by(&self, hub: &Hub, url: &str) {
        self.type_line(&format!("/set nick {}", self.nick));
        self.log_has("main", &format!("global.nick = {}", self.nick));
        self.type_line(&format!("/open hub {url}"));
        if self.nick == "master" {
            self.log_has("#hub", "Password required.");
            self.type_line(&format!("/password {}", hub.password));
        }
        self.log_has("#hub", &format!("<Greeter> Hello {}, welcome to vhpy hub!", self.nick));
    }

    /// Shows the tab of the hub, which is the second.
    fn look_at_hub(&self) {
        self.key("M-2");
        self.screen_has("#hub>");
    }
}

#[test]
fn real_clients_chat_search_and_are_filtered() {
    if !has(&["ncdc", "tmux"]) {
        return;
    }
    tell_version("ncdc");
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let tmux = Tmux::start(folder.path());
    let [master, alice, bob] = ["master", "alice", "bob"].map(|nick| tmux.ncdc(nick));

    // Bob has something to be found, and can be reached; Alice is passive.
    let share = folder.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("holiday in the alps.txt"), "snow ".repeat(1000)).unwrap();
    bob.type_line(&format!("/share things {}", share.display()));
    let port = free_port();
    for (name, value) in [("active", "true"), ("active_ip", "127.0.0.1"), ("active_port", &port.to_string())]
    {
        bob.type_line(&format!("/set {name} {value}"));
        bob.log_has("main", &format!("global.{name} = {value}"));
    }
    for client in [&master, &alice, &bob] {
        client.enter(&hub);
    }

    they_see_each_other(&alice, &bob);
    they_talk(&alice, &bob);
    a_search_finds(&alice, &bob);
    a_banned_word_is_stopped(&alice, &bob);
    operators_see_and_reload_scripts(&hub, &master, &alice, &bob);

    hub.stop();
    alice.log_has("#hub", "Connection lost");
}

#[test]
fn ncdc_comes_with_tls_and_looks_at_the_keyprint() {
    if !has(&["ncdc", "tmux"]) {
        return;
    }
    tell_version("ncdc");
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::start(folder.path());
    let tmux = Tmux::start(folder.path());
    let [alice, bob, carol] = ["alice", "bob", "carol"].map(|nick| tmux.ncdc(nick));
    alice.enter_by(&hub, &hub.tls);
    bob.enter(&hub);
    they_talk(&alice, &bob);
    a_banned_word_is_stopped(&alice, &bob);

    carol.type_line("/set nick carol");
    carol.log_has("main", "global.nick = carol");
    carol.type_line(&format!("/open hub {}", with_another_keyprint(&hub.tls)));
    carol.log_has("#hub", "ertificate");
    assert!(!carol.log("#hub").contains("Hello carol"), "{}", carol.log("#hub"));
    hub.stop();
}

fn they_see_each_other(alice: &Client<'_>, bob: &Client<'_>) {
    for (client, others) in [(alice, ["bob", "master", "Greeter"]), (bob, ["alice", "master", "Reminder"])] {
        client.type_line("/userlist");
        for other in others {
            client.screen_has(other);
        }
        client.type_line("/close");
        client.look_at_hub();
    }
}

fn they_talk(alice: &Client<'_>, bob: &Client<'_>) {
    alice.type_line("good morning");
    bob.log_has("#hub", "<alice> good morning");
    bob.type_line("hello alice");
    alice.log_has("#hub", "<bob> hello alice");

    alice.type_line("/msg bob only for you");
    bob.log_has("~alice", "<alice> only for you");
    alice.look_at_hub();
}

fn a_search_finds(alice: &Client<'_>, bob: &Client<'_>) {
    // Bob's client reads its files in the background, so the first searches may come too early.
    wait_for(
        "a search that finds Bob's file",
        || {
            alice.type_line("/search holiday");
            alice.screen_has("Results on #hub");
            let found = alice.screen_shows_soon("holiday in the alps.txt");
            let screen = alice.screen();
            alice.type_line("/close");
            alice.look_at_hub();
            found.then_some(screen)
        },
        |screen| screen.as_ref().is_some_and(|screen| screen.contains(bob.nick)),
    );
}

fn a_banned_word_is_stopped(alice: &Client<'_>, bob: &Client<'_>) {
    alice.type_line("come to my casino");
    alice.log_has("#hub", "'casino' is not welcome here");
    alice.type_line("damn, it did not get through");
    // Messages keep their order: once this one is there, the one before would be, too.
    bob.log_has("#hub", "<alice> d***, it did not get through");
    assert!(!bob.log("#hub").contains("come to my casino"), "{}", bob.log("#hub"));
}

fn operators_see_and_reload_scripts(hub: &Hub, master: &Client<'_>, alice: &Client<'_>, bob: &Client<'_>) {
    master.type_line("!pylist");
    for name in ["crash", "filter", "reminders", "stats", "welcome"] {
        master.log_has("#hub", &format!("/scripts/{name}.py"));
    }

    let script = hub.folder.join("scripts/filter.py");
    let text = std::fs::read_to_string(&script).unwrap();
    assert!(text.contains(r#""casino""#), "the example has changed");
    std::fs::write(&script, text.replace(r#""casino""#, r#""zebra""#)).unwrap();
    master.type_line("!pyreload filter");
    master.log_has("#hub", "Script filter is reloaded");
    alice.type_line("look, a zebra");
    alice.log_has("#hub", "'zebra' is not welcome here");
    alice.type_line("then come to my casino after all");
    bob.log_has("#hub", "<alice> then come to my casino after all");
    assert!(!bob.log("#hub").contains("zebra"), "{}", bob.log("#hub"));
}
