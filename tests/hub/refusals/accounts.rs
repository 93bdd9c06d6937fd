//! Who comes in, who may put out whom, and who sees whose address.

use super::*;
use crate::support::client::Client;
use crate::support::eval::eval;

/// Who may put whom out, in all ways.
#[test]
fn nobody_puts_out_who_is_above_them() {
    let mut town = Town::new();
    let ways = [
        ("<@> !kick % out|", "You may not put % out.", 0),
        ("<@> !drop % out|", "You may not put % out.", 0),
        ("<@> @ is kicking % because: out|", "You may not put % out.", 0),
        ("<@> is kicking % because: out|", "You may not put % out.", 0),
        ("$Kick %|", "You may not put % out.", 0),
        ("$Close %|", "You may not put % out.", 0),
        ("$OpForceMove $Who:%$Where:x$Msg:y|", "You may not put % out.", 0),
        // A ban is for those below alone.
        ("<@> !ban % 1h out|", "You may not ban a user of your class or a higher one.", 1),
    ];
    town.set("min_class_redir", "3");
    for (way, refusal, least) in ways {
        for (op, victim) in [(3, 4), (3, 5), (4, 5), (3, 10), (3, 3), (3, 2), (4, 3)] {
            // Of one class there is but one, who cannot put themselves out.
            let allowed = op != victim && op >= victim + least;
            let nick = Town::nick(victim);
            for class in [op, victim] {
                town.person(class);
            }
            let seen = town.says(op, &way.replace('%', &nick));
            let gone = seen.contains(&format!("$Quit {nick}"));
            let refused = seen.contains(&refusal.replace('%', &nick));
            assert_eq!((gone, refused), (allowed, !allowed), "{op} {way} {victim}: {seen}");
            if gone {
                town.people.remove(&victim);
            }
            assert_eq!(eval(&mut town.master, "vh.SQL('delete from banlist')"), "(1, [])");
        }
        // Below operators there is no such right at all.
        let seen = town.says(2, &way.replace('%', "class1"));
        assert!(!seen.contains("$Quit class1"), "2 {way} 1: {seen}");
    }
}

/// Puts an account of the right password `secret` into the table by hand.
fn account(town: &mut Town, nick: &str, values: &str) {
    let insert = format!(
        "vh.SQL('insert into reglist (nick, class, enabled, pwd_change, pwd_crypt, login_pwd, auth_ip) select \
         \\'{nick}\\', class, enabled, pwd_change, pwd_crypt, login_pwd, auth_ip from reglist where nick = \
         \\'late1\\''), vh.SQL('update reglist set {} where nick = \\'{nick}\\'')",
        values.replace('\'', "\\'")
    );
    assert_eq!(eval(&mut town.master, &insert), "((1, []), (1, []))");
}

/// What of an account lets in, and as what.
#[test]
fn accounts_let_in_whom_they_should() {
    let mut town = Town::new();
    let password = "password1";
    // What the account says, what the user sends, what is seen, and their class then.
    let cases: &[(&str, &str, &str, Option<i64>)] = &[
        ("enabled = 1", password, "$Hello", Some(1)),
        ("enabled = 1", "password2", "$BadPass", None),
        ("enabled = 1", "", "$BadPass", None),
        ("enabled = 0", password, "This account is disabled.", None),
        ("auth_ip = '127.0.0.3'", password, "$Hello", Some(1)),
        ("auth_ip = '127.0.0.4'", password, "may not be used from your address 127.0.0.3", None),
        ("class = 3", password, "$LogedIn", Some(3)),
        ("class = 77", password, "$Hello", Some(1)),
        // A password that is still another's gives no class.
        ("class = 3, pwd_change = 1", password, "Please set a password of your own now", Some(0)),
        // As it is, where somebody wrote it by hand.
        ("pwd_crypt = 0, login_pwd = 'by hand'", "by hand", "$Hello", Some(1)),
        ("pwd_crypt = 0, login_pwd = 'by hand'", "by hind", "$BadPass", None),
        ("pwd_crypt = 0, login_pwd = 'by hand'", "", "$BadPass", None),
        ("pwd_crypt = 0, login_pwd = ''", "", "$BadPass", None),
        ("pwd_crypt = 1, login_pwd = 'no hash'", "no hash", "$BadPass", None),
        ("pwd_crypt = 7", password, "$BadPass", None),
        // Without a password: a guest until there is one; from class 3 on nobody.
        ("pwd_change = 1, login_pwd = ''", "-", "Please set a password of your own now", Some(0)),
        ("pwd_change = 1, login_pwd = '', class = 2", "-", "Please set a password of your own now", Some(0)),
        ("pwd_change = 1, login_pwd = '', class = 3", "-", "This account has no password yet", None),
        ("pwd_change = 0, login_pwd = ''", "", "$BadPass", None),
    ];
    for (at, (values, password, said, class)) in cases.iter().enumerate() {
        let nick = format!("acc{at}");
        account(&mut town, &nick, values);
        let mut client = Client::connect(&town.hub, 3);
        let pass = if *password == "-" { String::new() } else { format!("$MyPass {password}|") };
        client.send(&format!(
            "$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|{pass}$MyINFO $ALL {nick} d$ $5\x01$$1$|"
        ));
        let (seen, open) = until_answered(&mut client, &nick);
        let case = format!("{values:?} with {password:?}: {seen}");
        assert!(seen.contains(said), "{case}");
        assert_eq!(open, class.is_some(), "{case}");
        let is = eval(&mut town.master, &format!("vh.GetUserClass('{nick}')"));
        assert_eq!(is, class.unwrap_or(-2).to_string(), "{case}");
        let stored =
            format!("vh.SQL('select pwd_crypt, login_pwd from reglist where nick = \\'{nick}\\'')[1][0]");
        let stored = eval(&mut town.master, &stored);
        // One that lay there as it is does so no longer, once it was used.
        assert_eq!(stored.contains("by hand"), values.contains("by hand") && class.is_none(), "{stored}");
        // Guesses from here are no stranger's, or each would wait for the last.
        town.master.chat("!unban 127.0.0.3");
        town.master.wait_for("There is no ban");
    }
    town.set("msg_welcome_master", "hail");
    town.set("dns_lookup", "0");
    let password = town.hub.password.clone();
    let mut again = Client::connect(&town.hub, 250);
    again.send(&format!(
        "$Supports NoHello|$Key x|$ValidateNick master|$MyPass {password}|$MyINFO $ALL master d$ $5\x01$$1$|"
    ));
    again.wait_for("> hail");
}

/// Whose address is shown to whom: at a login, in the list, when asked.
#[test]
fn addresses_are_shown_to_operators_and_to_oneself() {
    let mut town = Town::new();
    for class in [0, 1, 2, 3, 4, 5] {
        let sees = class >= 3;
        let nick = Town::nick(class);
        town.person(class).so_far();
        let newcomer = Client::connect(&town.hub, 77).login("newcomer", None);
        town.master.wait_for("$UserIP newcomer 127.0.0.77$$");
        let person = town.person(class);
        let at_login = person.so_far().join("\n");
        assert_eq!(at_login.contains("$UserIP newcomer 127.0.0.77$$"), sees, "{nick}: {at_login}");
        person.send("$GetNickList|");
        let list = person.so_far().join("\n");
        assert_eq!(list.contains("newcomer 127.0.0.77$$"), sees, "{nick}: {list}");
        person.send("$UserIP newcomer|");
        let asked = person.so_far().join("\n");
        assert_eq!(asked.contains("127.0.0.77"), sees, "{nick}: {asked}");
        person.send(&format!("$UserIP {nick}|"));
        let own = person.so_far().join("\n");
        assert!(own.contains(&format!("$UserIP {nick} 127.0.0.{}$$", Town::host(class))), "{nick}: {own}");
        person.chat("+myip");
        person.wait_for(&format!("Your address is 127.0.0.{}", Town::host(class)));
        drop(newcomer);
        town.master.wait_for("$Quit newcomer");
    }
}
