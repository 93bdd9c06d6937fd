//! Each configuration variable, by what it changes for somebody.

use super::floods::FLOODS;
use std::collections::BTreeSet;

use super::*;
use crate::support::eval::eval;

/// What is seen of a deed, or not.
enum Then {
    /// This is seen.
    Seen(&'static str),
    /// The first is seen, and the second is not.
    Refused(&'static str, &'static str),
}

use Then::{Refused, Seen};

/// With a variable's value, what somebody of a class does, and what comes of it.
type Step = (&'static str, i64, &'static str, Then);

/// Logs in as somebody new, from 127.0.0.3.
macro_rules! new {
    ($nick:literal, $info:literal) => {
        new!("*3 ", "NoHello NoGetINFO", $nick, $info)
    };
    ($from:literal, $supports:literal, $nick:literal, $info:literal) => {
        concat!(
            $from,
            "$Supports ",
            $supports,
            "|$Key x|$ValidateNick ",
            $nick,
            "|$GetNickList|$MyINFO $ALL ",
            $nick,
            " ",
            $info,
            "|"
        )
    };
}

/// Logs in with a password.
macro_rules! late {
    ($class:literal, $info:literal) => {
        late!("*3 ", $class, $info)
    };
    ($from:literal, $class:literal, $info:literal) => {
        concat!(
            $from,
            "$Supports NoHello NoGetINFO|$Key x|$ValidateNick late",
            $class,
            "|$MyPass password",
            $class,
            "|$MyINFO $ALL late",
            $class,
            " ",
            $info,
            "|"
        )
    };
}

const CHAT: &str = "<@> word|";
const PM: &str = "$To: witness From: @ $<@> word|";
const SEARCH: &str = "$Search 127.0.0.1:5 F?T?0?1?word|";
const KICK_NOBODY: &str = "$OpForceMove $Who:vhpy$Where:x$Msg:y|";
const PINGER: &str =
    "*9 $Supports BotINFO NoHello|$Key x|$ValidateNick @|$BotINFO x|$MyINFO $ALL @ d$ $5\x01$$1$|";
pub const COMES: &str = new!("@", "d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$100$");

/// Every variable that decides who may do what, and how much. Those in the second list are
/// tested elsewhere.
#[rustfmt::skip]
const VARIABLES: &[(&str, &[Step])] = &[
    // Classes: just below, and the one that may.
    ("opchat_class", &[
        ("2", 1, "$To: OpChat From: @ $<@> word|", Refused("operators' chat is for operators", "$<class1> word")),
        ("2", 2, "$To: OpChat From: @ $<@> word|", Seen("$<class2> word")),
            // Who may not write there reads nothing either.
        ("3", 3, "$To: OpChat From: @ $<@> word|", Refused("From: OpChat $<class3> word", "To: witness")),
    ]),
    ("oplist_class", &[
        ("2", 1, "$GetNickList|", Refused("$OpList ", "class1$$")),
        ("1", 1, "$GetNickList|", Seen("class1$$")),
    ]),
    ("min_class_use_hub", &[
        ("2", 1, SEARCH, Refused("Searches and downloads are for class 2", "?word")),
        ("2", 2, SEARCH, Seen("?word")),
        ("2", 1, "$ConnectToMe witness 127.0.0.1:5|", Refused("Searches and downloads are for", "$ConnectToMe")),
        ("2", 2, "$ConnectToMe witness 127.0.0.1:5|", Seen("$ConnectToMe witness")),
        ("2", 1, "$RevConnectToMe @ witness|", Refused("Searches and downloads are for", "$RevConnectToMe")),
        ("2", 2, "$RevConnectToMe @ witness|", Seen("$RevConnectToMe class2 witness")),
    ]),
    ("min_class_register", &[
        ("3", 2, "<@> +regnew|", Refused("regnew is for class 3", "Usage")),
        ("3", 3, "<@> +regnew|", Seen("Usage: !regnew")),
    ]),
    ("min_class_redir", &[
        ("4", 3, KICK_NOBODY, Refused("This is for class 4 and higher.", "is a bot")),
        ("4", 4, KICK_NOBODY, Seen("vhpy is a bot.")),
        ("5", 4, KICK_NOBODY, Refused("This is for class 5 and higher.", "is a bot")),
            // Operators alone put anybody out, whatever the variable says.
        ("1", 2, "$OpForceMove $Who:witness$Where:x$Msg:y|", Refused("You may not put witness out.", "$Quit witness")),
    ]),
    ("topic_mod_class", &[
        ("2", 1, "<@> +topic word|", Refused("topic is for class 2 and higher.", "word")),
        ("2", 2, "<@> +topic word|", Seen("The topic is now: word")),
        ("2", 1, "$SetTopic other|", Refused("This is for class 2 and higher.", "other")),
        ("2", 2, "$SetTopic other|", Seen("$HubTopic other")),
        ("2", 2, "<@> +topic -|", Seen("The topic is now: ")),
    ]),
    ("plugin_mod_class", &[
        ("2", 1, "<@> +pylist|", Refused("Unknown command: pylist", "ready")),
        ("2", 2, "<@> +pylist|", Seen("ready")),
        ("5", 4, "<@> +pylist|", Refused("Unknown command: pylist", "ready")),
    ]),
    ("user_ip_class", &[
        ("3", 2, "$UserIP witness$$@|", Refused("$UserIP class2 127.0.0.12$$|", "witness 127")),
        ("3", 3, "$UserIP witness$$@|", Seen("$UserIP witness 127.0.0.2$$class3 127.0.0.13$$")),
        ("2", 2, "$UserIP witness$$@|", Seen("witness 127.0.0.2$$")),
        ("2", 1, "$UserIP witness$$@|", Refused("$UserIP class1 127.0.0.11$$|", "witness 127")),
    ]),
    ("mainchat_class", &[
        ("2", 1, CHAT, Refused("The main chat is for class 2 and higher.", "> word")),
        ("2", 2, CHAT, Seen("<class2> word")),
    ]),
    ("private_class", &[
        ("2", 1, PM, Refused("Private messages are not for your class.", "$<class1>")),
        ("2", 2, PM, Seen("$<class2> word")),
        ("2", 1, "$MCTo: witness $@ word|", Refused("Private messages are not for your class.", "$class1")),
        ("2", 2, "$MCTo: witness $@ word|", Seen("$class2 word")),
    ]),
    ("classdif_pm", &[
        ("8", 1, "$To: master From: @ $<@> word|", Refused("You may not write to this user.", "$<class1>")),
        ("8", 2, "$To: master From: @ $<@> word|", Seen("$<class2> word")),
    ]),
    ("classdif_download", &[
        ("8", 1, "$ConnectToMe master 127.0.0.1:5|", Refused("You may not download from master.", "$ConnectToMe")),
        ("8", 2, "$ConnectToMe master 127.0.0.1:5|", Seen("$ConnectToMe master")),
        ("8", 1, "$RevConnectToMe @ master|", Refused("You may not download from master.", "$RevConnectToMe")),
        ("8", 2, "$RevConnectToMe @ master|", Seen("$RevConnectToMe class2 master")),
    ]),
    ("classdif_reg", &[
        ("2", 4, "<@> !regnew @x 3 password|", Refused("your class does not allow it", "is registered")),
        ("2", 4, "<@> !regnew @x 2 password|", Seen("class4x is registered.")),
        ("2", 4, "<@> !regclass @x 3|", Refused("your class does not allow it", "has class 3")),
        ("2", 4, "<@> !regclass @x 1|", Seen("has class 1 now")),
        ("2", 4, "<@> !regclass late3 1|", Refused("your class does not allow it", "has class 1")),
        ("2", 4, "<@> !regpasswd late3 password|", Refused("your class does not allow it", "has a new")),
        ("2", 4, "<@> !regpasswd @x password|", Seen("has a new password")),
        ("2", 4, "<@> !delreg late3|", Refused("your class does not allow it", "no longer")),
        ("2", 4, "<@> !delreg @x|", Seen("is no longer registered")),
        ("1", 4, "<@> !regnew @y 4 password|", Refused("your class does not allow it", "is registered")),
        ("1", 4, "<@> !regnew @y 3 password|", Seen("class4y is registered.")),
        ("1", 4, "<@> !delreg @y|", Seen("is no longer registered")),
        ("6", 10, "<@> !regnew @z 10 password|", Seen("masterz is registered.")),
        ("6", 10, "<@> !delreg @z|", Seen("is no longer registered")),
    ]),
    // How many.
    ("max_users", &[
        ("0", 0, COMES, Refused("$HubIsFull", "$MyINFO")),
        ("0", 2, late!(2, "d$ $5\x01$m$100$"), Refused("$HubIsFull", "$MyINFO")),
        ("0", 3, late!(3, "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("max_users_from_ip", &[
        ("1", 0, new!("*2 ", "NoHello", "@", "d$ $5\x01$m$100$"), Refused("From your address 127.0.0.2 there are 1 users", "$MyINFO")),
        ("1", 0, COMES, Seen("$MyINFO $ALL new")),
        ("2", 0, new!("*2 ", "NoHello", "@", "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL new")),
        ("1", 3, late!("*2 ", 3, "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("min_share", &[
        ("1", 0, new!("@", "d$ $5\x01$m$1048575$"), Refused("at least 1.00 MiB is wanted", "$MyINFO")),
        ("1", 0, new!("@", "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL new")),
        ("1", 1, late!(1, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late1")),
    ]),
    ("min_share_reg", &[
        ("1", 1, late!(1, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 1, late!(1, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late1")),
        ("1", 2, late!(2, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late2")),
    ]),
    ("min_share_vip", &[
        ("1", 2, late!(2, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 2, late!(2, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late2")),
        ("1", 3, late!(3, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("min_share_ops", &[
        ("1", 3, late!(3, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 3, late!(3, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late3")),
        ("1", 4, late!(4, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late4")),
    ]),
    ("max_share", &[
        ("1", 0, new!("@", "d$ $5\x01$m$1048577$"), Refused("at most 1.00 MiB is wanted", "$MyINFO")),
        ("1", 0, new!("@", "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL new")),
        ("1", 3, late!(3, "d$ $5\x01$m$1048577$"), Refused("at most", "$MyINFO")),
        ("1", 4, late!(4, "d$ $5\x01$m$1048577$"), Seen("$MyINFO $ALL late4")),
    ]),
    ("max_nick", &[
        ("5", 0, new!("sixsix", "d$ $5\x01$m$1$"), Refused("$ValidateDenide sixsix", "$MyINFO")),
        ("5", 0, new!("fives", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL fives")),
    ]),
    ("min_nick", &[
        ("3", 0, new!("ab", "d$ $5\x01$m$1$"), Refused("A nick must have 3 to 64 bytes.", "$MyINFO")),
        ("3", 0, new!("abc", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL abc")),
    ]),
    ("nick_chars", &[
        ("abc", 0, new!("abcd", "d$ $5\x01$m$1$"), Refused("A nick may hold only these characters: abc", "$MyINFO")),
        ("abc", 0, new!("cab", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL cab")),
    ]),
    ("nick_prefix", &[
        ("[x]", 0, new!("x", "d$ $5\x01$m$1$"), Refused("A nick must begin with [x]", "$MyINFO")),
        ("[x]", 0, new!("[x]x", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL [x]x")),
        ("[x]", 1, late!(1, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late1")),
    ]),
    ("max_chat_msg", &[
        ("5", 1, "<@> 123456|", Refused("it has 6 bytes, and 5 are allowed", "> 123456")),
        ("5", 1, "<@> 12345|", Seen("<class1> 12345")),
        ("5", 2, "<@> 123456|", Seen("<class2> 123456")),
    ]),
    ("max_chat_lines", &[
        ("2", 1, "<@> a\nb\nc|", Refused("2 lines are allowed", "> a")),
        ("2", 1, "<@> a\nb|", Seen("<class1> a\nb")),
        ("2", 2, "<@> a\nb\nc|", Seen("<class2> a\nb\nc")),
    ]),
    ("chat_history", &[
        ("0", 1, "<@> so|<@> +history|", Seen("No chat is kept")),
        ("1", 1, "<@> before|<@> so|<@> +history|", Seen("] <class1> so")),
    ]),
    ("max_pm_msg", &[
        ("5", 1, "$To: witness From: @ $<@> 123456|", Refused("it has 6 bytes, and 5 are allowed", "$<class1>")),
        ("5", 1, "$To: witness From: @ $<@> 12345|", Seen("$<class1> 12345")),
        ("5", 2, "$To: witness From: @ $<@> 123456|", Seen("$<class2> 123456")),
    ]),
    ("max_mcto_msg", &[
        ("5", 1, "$MCTo: witness $@ 123456|", Refused("it has 6 bytes, and 5 are allowed", "$class1")),
        ("5", 1, "$MCTo: witness $@ 12345|", Seen("$class1 12345")),
        ("5", 2, "$MCTo: witness $@ 123456|", Seen("$class2 123456")),
    ]),
    ("max_len_myinfo", &[
        ("38", 5, "$MyINFO $ALL @ 123456789$ $5\x01$$100$|", Refused("38 are allowed", "123456789$")),
        ("38", 5, "$MyINFO $ALL @ 1234567$ $5\x01$$100$|", Seen("1234567$")),
    ]),
    ("max_len_supports", &[
        ("19", 0, "*3 $Supports NoGetINFO|$Key x|", Seen("$Supports")),
        ("18", 0, "*3 $Supports NoGetINFO|$Key x|", Refused("$Supports of 19 bytes; 18 are allowed", "$Supports NoGetINFO")),
    ]),
    ("max_len_search", &[
        ("32", 5, SEARCH, Seen("?word")),
        ("31", 5, SEARCH, Refused("$Search of 32 bytes; 31 are allowed", "?word")),
    ]),
    ("max_len_extjson", &[
        ("24", 5, "$ExtJSON @ {\"a\":\"word\"}|", Refused("bytes; 24 are allowed", "$ExtJSON class5")),
        ("29", 5, "$ExtJSON @ {\"a\":\"word\"}|", Seen("$ExtJSON class5")),
    ]),
    ("max_len_myhuburl", &[
        ("22", 5, "$MyHubURL dchub://word|", Seen("[open]")),
        ("21", 5, "$MyHubURL dchub://word|", Refused("$MyHubURL of 22 bytes; 21 are allowed", "[open]")),
    ]),
    ("min_search_chars", &[
        ("5", 1, SEARCH, Refused("Search for at least 5 characters.", "?word")),
        ("4", 1, SEARCH, Seen("?word")),
        ("5", 2, SEARCH, Seen("?word")),
    ]),
    ("max_passive_sr", &[
        ("1", 1, "$SR @ first\x051 1/1\x05h (x:1)\x05witness|$SR @ second\x051 1/1\x05h (x:1)\x05witness|", Refused("first", "second")),
        ("3", 1, "$SR @ third\x051 1/1\x05h (x:1)\x05witness|$SR @ fourth\x051 1/1\x05h (x:1)\x05witness|", Refused("third", "fourth")),
    ]),
    ("adv_max_message_size", &[
        ("64", 5, "<@> 12345678901234567890123456789012345678901234567890123456|", Refused("a message of more than 64 bytes", "<class5>")),
        ("64", 5, "<@> 1234567890123456789012345678901234567890123456789012345|", Seen("<class5> 1234567")),
    ]),
    ("int_chat_ms", &[
        ("80000000", 1, "<@> one|<@> two|", Refused("wait 80000000 ms between two", "> two")),
        ("80000000", 2, "<@> one|<@> two|", Seen("<class2> two")),
        ("80000000", 0, "<@> one|", Seen("<class0> one")),
    ]),
    ("max_flood_counter_pm", &[
        ("1", 2, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Refused("the same private message too often", "[open]")),
        ("2", 2, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Seen("[open]")),
        ("1", 3, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Seen("[open]")),
    ]),
    ("tag_allow_none", &[
        ("0", 0, new!("@", "d$ $5\x01$m$1$"), Refused("Your client must show its tag.", "$MyINFO")),
        ("0", 0, COMES, Seen("$MyINFO $ALL new")),
        ("0", 2, late!(2, "d$ $5\x01$m$1$"), Refused("Your client must show its tag.", "$MyINFO")),
        ("0", 3, late!(3, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("tag_max_hubs", &[
        ("5", 0, new!("@", "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Refused("You are in 6 hubs; 5 are allowed.", "$MyINFO")),
        ("6", 0, new!("@", "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Seen("$MyINFO $ALL new")),
        ("5", 3, late!(3, "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("password_min_len", &[
        ("9", 5, "<@> !regpasswd late1 password|", Refused("at least 9 bytes", "has a new password")),
        ("9", 5, "<@> !regpasswd late1 password1|", Seen("late1 has a new password")),
        ("9", 1, "<@> +passwd password|", Refused("at least 9 bytes", "has a new password")),
        ("9", 1, "<@> +passwd password1|", Seen("class1 has a new password")),
        ("9", 5, "<@> !regnew @x 1 password|", Refused("at least 9 bytes", "is registered")),
    ]),
    ("classdif_kick", &[
        ("0", 3, "$Kick class4|", Refused("You may not put class4 out.", "$Quit class4")),
        ("1", 3, "$Kick class3|", Refused("You may not put class3 out.", "$Quit")),
        ("2", 4, "$Kick class3|", Refused("You may not put class3 out.", "$Quit")),
        ("1", 4, "$Close class3|", Seen("$Quit class3")),
    ]),
    // Whether and how.
    ("send_user_ip", &[
        ("0", 0, COMES, Refused("$MyINFO $ALL new", "127.0.0.3$$")),
        ("1", 0, COMES, Seen("127.0.0.3$$")),
        ("0", 4, "$GetNickList|", Refused("$OpList", "$UserIP")),
        ("1", 4, "$GetNickList|", Seen("witness 127.0.0.2$$")),
    ]),
    ("send_user_info", &[
        ("1", 0, COMES, Seen("(guest) from 127.0.0.3 and share 100 B.")),
        ("0", 0, COMES, Refused("$MyINFO", "(guest) from")),
    ]),
    ("drop_invalid_key", &[
        ("1", 0, COMES, Refused("Your client sent a wrong key.", "$MyINFO")),
        ("0", 0, COMES, Seen("$MyINFO")),
    ]),
    ("detect_ctmtohub", &[
        ("1", 0, "*3 $MyNick x|$Lock y Ref=z|", Seen("$Error CTM2HUB")),
        ("0", 0, "*3 $MyNick x|$Lock y Ref=z|", Refused("", "$Error CTM2HUB")),
    ]),
    ("disable_extjson", &[
        ("1", 5, "$ExtJSON @ {\"b\":1}|", Refused("[open]", "$ExtJSON")),
        ("0", 5, "$ExtJSON @ {\"b\":2}|", Seen("$ExtJSON class5")),
        ("1", 0, new!("*3 ", "NoHello ExtJSON2", "@", "d$ $5\x01$m$1$"), Refused("$Supports ", "$Supports ExtJSON2")),
    ]),
    ("show_desc_len", &[
        ("2", 0, new!("@", "word<t V:1>$ $5\x01$m$1$"), Refused(" wo<t V:1>$ $5", "word")),
        ("-1", 0, new!("@", "word<t V:1>$ $5\x01$m$1$"), Seen(" word<t V:1>$ $5")),
    ]),
    ("show_email", &[
        ("0", 0, new!("@", "d$ $5\x01$post$1$"), Refused("$MyINFO $ALL new", "post")),
        ("1", 0, new!("@", "d$ $5\x01$post$1$"), Seen("$post$")),
    ]),
    ("show_tags", &[
        ("0", 0, new!("@", "d<tag V:1>$ $5\x01$m$1$"), Refused("$MyINFO $ALL new", "<tag V:1>")),
        ("1", 0, new!("@", "d<tag V:1>$ $5\x01$m$1$"), Seen("d<tag V:1>")),
    ]),
    ("always_ask_password", &[
        ("1", 0, "*3 $Supports NoHello|$Key x|$ValidateNick @|$MyPass any|$MyINFO $ALL @ d$ $5\x01$m$1$|", Seen("$GetPass|")),
        ("1", 0, COMES, Refused("must send the password first", "$MyINFO")),
        ("0", 0, COMES, Refused("$MyINFO", "$GetPass")),
    ]),
    ("pwd_tmpban", &[
        ("7000", 0, "*7 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("$BadPass")),
        ("7000", 0, "*7 $Supports NoHello|$Key x|$ValidateNick @|", Refused("You are kept out for another 1 h", "$Hello")),
        ("0", 0, "*8 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("$BadPass")),
        ("0", 0, "*8 $Supports NoHello|$Key x|$ValidateNick @|", Refused("$Hello", "kept out")),
    ]),
    ("wrongpassword_report", &[
        ("1", 0, "*5 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("Wrong password for late1 from 127.0.0.5")),
        ("0", 0, "*6 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Refused("$BadPass", "Wrong password for")),
    ]),
    ("unknown_cmd_chat", &[
        ("1", 1, "<@> +nonsense|", Seen("<class1> +nonsense")),
        ("0", 1, "<@> +nonsense|", Refused("Unknown command: nonsense", "<class1>")),
    ]),
    ("cmd_start_op", &[
        (".!", 3, "<@> +help|", Refused("<class3> +help", "Commands:")),
        (".!", 3, "<@> .help|", Refused("Commands:", "<class3>")),
        (".!", 2, "<@> +help|", Refused("Commands:", "<class2>")),
    ]),
    ("cmd_start_user", &[
        (".", 2, "<@> +help|", Refused("<class2> +help", "Commands:")),
        (".", 2, "<@> .help|", Refused("Commands:", "<class2>")),
        (".", 3, "<@> +help|", Refused("Commands:", "<class3>")),
    ]),
    ("hide_all_kicks", &[
        ("1", 4, "<@> !kick class1 because|", Refused("$Quit class1", "is kicking")),
        ("0", 4, "<@> !kick class2 because|", Seen("class4 is kicking class2 because: because")),
    ]),
    ("tban_kick", &[("7000", 4, "<@> !kick class1 because|", Seen("class1 was kicked and banned for 1 h"))]),
    ("tban_max", &[("7000", 4, "<@> !kick class1 _ban_9d|", Seen("class1 was kicked and banned for 1 h"))]),
    ("tban_max", &[("7000", 3, "<@> !kick class1 _ban_|", Refused("was kicked and banned for", "for ever"))]),
    ("tban_max", &[("7000", 4, "<@> !kick class1 _ban_|", Seen("class1 was kicked and banned for ever"))]),
    ("ban_extra_message", &[
        ("appeal", 10, "<@> !ban late1|", Seen("late1 is banned")),
        ("appeal", 1, late!(1, "d$ $5\x01$m$1$"), Refused("\nappeal", "$MyINFO")),
    ]),
    ("ban_bypass_class", &[
        ("10", 10, "<@> !ban late4|", Seen("late4 is banned")),
        ("5", 4, late!(4, "d$ $5\x01$m$1$"), Refused("You are banned from this hub for ever", "$MyINFO")),
        ("4", 4, late!(4, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late4")),
    ]),
    // What the hub says.
    ("hub_name", &[("the name", 0, COMES, Seen("$HubName the name|"))]),
    ("hub_topic", &[("the topic", 1, "$GetTopic|", Seen("$HubTopic the topic|"))]),
    ("hub_desc", &[("the desc", 0, PINGER, Seen("$the desc$"))]),
    ("hub_category", &[("the category", 0, PINGER, Seen("$the category$"))]),
    ("hub_owner", &[("the owner", 0, PINGER, Seen("$the owner$"))]),
    ("hub_host", &[("host.example", 0, PINGER, Seen("$host.example$"))]),
    ("hub_icon_url", &[("http://icon", 0, PINGER, Seen("$SetIcon http://icon|"))]),
    ("hub_logo_url", &[("http://logo", 0, PINGER, Seen("$SetLogo http://logo|"))]),
    ("hub_failover_hosts", &[( "a.example", 0, new!("*3 ", "NoHello FailOver", "@", "d$ $5\x01$m$1$"), Seen("$FailOver a.example|"), )]),
    ("hubfull_message", &[("come later", 0, COMES, Refused("users are online. come later", "$MyINFO"))]),
    ("hub_security_desc", &[("guards", 1, "$GetINFO vhpy @|", Seen("$MyINFO $ALL vhpy guards<"))]),
    ("opchat_desc", &[("ops talk", 1, "$GetINFO OpChat @|", Seen("$MyINFO $ALL OpChat ops talk<"))]),
    ("msg_welcome_guest", &[
        ("hi %[nick]!", 0, new!("guesty", "d$ $5\x01$m$1$"), Seen("> hi guesty!|")),
        ("hi %[nick]!", 1, late!(2, "d$ $5\x01$m$1$"), Refused("$MyINFO", "hi late2")),
    ]),
    ("msg_welcome_reg", &[("hi %[nick]!", 1, late!(1, "d$ $5\x01$m$100$"), Seen("> hi late1!|"))]),
    ("msg_welcome_vip", &[("hi %[nick]!", 2, late!(2, "d$ $5\x01$m$1$"), Seen("> hi late2!|"))]),
    ("msg_welcome_op", &[("hi %[nick]!", 3, late!(3, "d$ $5\x01$m$1$"), Seen("> hi late3!|"))]),
    ("msg_welcome_cheef", &[("hi %[nick]!", 4, late!(4, "d$ $5\x01$m$100$"), Seen("> hi late4!|"))]),
    ("msg_welcome_admin", &[("hi %[nick]!", 5, late!(5, "d$ $5\x01$m$1$"), Seen("> hi late5!|"))]),
];

/// What else must hold for a variable to matter.
const BESIDES: &[(&str, &[(&str, &str)])] =
    &[("hubfull_message", &[("max_users", "0")]), ("pwd_tmpban", &[("pwd_tries", "1")])];

/// The variables that other tests are about: the file, and its tests.
const ELSEWHERE: &[(&str, &str, &[&str])] = &[
    ("text", "no_byte_is_lost_in_any_encoding", &["hub_encoding"]),
    ("functions", "the_configuration_is_kept", &["hub_security", "opchat_name"]),
    ("strangers", "a_guessers_address_is_kept_out_but_for_those_who_came_from_there", &["pwd_tries"]),
    ("strangers", "idle_connections_of_an_address_make_room_for_new_ones", &["max_logins_from_ip"]),
    ("strangers", "exempt_addresses_may_be_wrong_as_often_as_they_like", &["limit_exempt"]),
    ("strangers", "proxies_tell_for_whom_they_connect", &["trusted_proxies"]),
    ("abuse", "slow_readers_are_dropped", &["adv_max_outbuf_size"]),
    ("load", "all_clients_together_let_only_so_much_wait", &["adv_max_outbuf_total"]),
    ("abuse", "silence_is_ended", &["timeout_key", "timeout_nick", "timeout_login"]),
    ("chat", "operators_are_told_what_the_check_finds_in_a_script_that_is_loaded", &["check_scripts"]),
    ("geoip", "places_are_told_in_the_hubs_encoding", &["mmdb_names_lang"]),
    (
        "refusals/floods",
        "each_flood_limit_stops_its_messages",
        &["max_class_proto_flood", "proto_flood_tban_time"],
    ),
    ("refusals/accounts", "accounts_let_in_whom_they_should", &["msg_welcome_master", "dns_lookup"]),
];

/// The options about scripts, whose effects are tested without a hub.
const OPTIONS: &[&str] = &[
    "hook_timeout",
    "kill_timeout",
    "load_timeout",
    "restart_wait",
    "when_away",
    "restart_limit",
    "limit_memory",
    "limit_cpu",
    "limit_files",
    "limit_processes",
    "nice",
    "slow_hook",
    "python",
    "spare",
    "stay_awake",
];

#[test]
fn every_variable_is_obeyed() {
    let mut town = Town::new();
    for (variable, steps) in VARIABLES {
        let besides = BESIDES.iter().find(|(name, _)| name == variable).map_or(&[][..], |(_, values)| values);
        for (value, class, deed, then) in *steps {
            // Whoever takes part is there before the variable is changed.
            let nick = deed.replace('@', &Town::nick(*class));
            let others = CLASSES.into_iter().filter(|other| nick.contains(&Town::nick(*other)));
            for class in others.chain([*class]).collect::<Vec<_>>() {
                let quiet = deed.starts_with('*') || town.people.contains_key(&class);
                if !quiet {
                    town.person(class);
                }
            }
            let before = town.set_all(&[&[(*variable, *value)], besides].concat());
            let seen = town.does(*class, deed);
            town.people.retain(|class, _| !seen.contains(&format!("$Quit {}", Town::nick(*class))));
            town.set_back(before);
            let holds = match then {
                Seen(what) => seen.contains(what),
                Refused(said, what) => seen.contains(said) && !seen.contains(what),
            };
            assert!(holds, "{variable} = {value}, class {class}: {deed:?} led to\n{seen}");
        }
        assert_eq!(eval(&mut town.master, "vh.SQL('delete from banlist')"), "(1, [])");
    }
}

#[test]
fn no_variable_is_without_a_test() {
    let mut town = Town::new();
    let here = VARIABLES.iter().map(|(name, _)| *name);
    let elsewhere = ELSEWHERE.iter().flat_map(|(_, _, names)| names.iter().copied());
    let floods = FLOODS.iter().flat_map(|flood| flood.variables());
    let tested: BTreeSet<String> =
        here.chain(elsewhere).chain(OPTIONS.iter().copied()).map(str::to_string).chain(floods).collect();
    let there: BTreeSet<String> = variables(&mut town).into_iter().map(|(name, _)| name).collect();
    let lacking: Vec<_> = there.difference(&tested).collect();
    let gone: Vec<_> = tested.difference(&there).collect();
    assert!(lacking.is_empty() && gone.is_empty(), "without a test: {lacking:?}; no longer there: {gone:?}");
    for (file, test, names) in ELSEWHERE {
        let path = format!("{}/tests/hub/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&format!("fn {test}()")), "{file} has no test {test}");
        assert!(names.iter().all(|name| source.contains(name)), "{file} is not about {names:?}");
    }
}
