//! Places of addresses, from MaxMind databases that are made here.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder};
use crate::support::eval::{EVAL, all};
use crate::support::mmdb::{Data, database, map};

fn text(text: &str) -> Data {
    Data::Text(text.into())
}

fn names(names: &[(&str, &str)]) -> Data {
    map(names.iter().map(|(language, name)| (*language, text(name))))
}

/// A folder with one database of each kind, and files that are none.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: Vec<u8>| std::fs::write(folder.path().join(name), bytes).unwrap();
    let country = |code: &str, english: &str, russian: &str| {
        map([(
            "country",
            map([("iso_code", text(code)), ("names", names(&[("en", english), ("ru", russian)]))]),
        )])
    };
    write(
        "countries.mmdb",
        database(
            "GeoLite2-Country",
            &[
                ([127, 0, 0, 0], 24, country("DE", "Germany", "Германия")),
                ([8, 8, 0, 0], 16, country("US", "United States", "США")),
                ([9, 0, 0, 0], 8, map([("country", map([("iso_code", text("XX"))]))])),
            ],
        ),
    );
    let place = map([
        ("city", map([("names", names(&[("en", "Cologne"), ("ru", "Кёльн")]))])),
        ("continent", map([("code", text("EU")), ("names", names(&[("en", "Europe"), ("ru", "Европа")]))])),
        (
            "country",
            map([("iso_code", text("DE")), ("names", names(&[("en", "Germany"), ("ru", "Германия")]))]),
        ),
        (
            "location",
            map([
                ("latitude", Data::Double(50.9375)),
                ("longitude", Data::Double(6.9603)),
                ("metro_code", Data::U16(17)),
                ("time_zone", text("Europe/Berlin")),
            ]),
        ),
        ("postal", map([("code", text("50667"))])),
        (
            "subdivisions",
            Data::List(vec![map([
                ("iso_code", text("NW")),
                ("names", names(&[("en", "North Rhine-Westphalia")])),
            ])]),
        ),
    ]);
    write("places.mmdb", database("GeoLite2-City", &[([127, 0, 0, 0], 25, place)]));
    let other = map([("city", map([("names", names(&[("en", "Elsewhere")]))]))]);
    write("more places.mmdb", database("Somebody's own", &[([127, 0, 0, 0], 8, other)]));
    let network = map([
        ("autonomous_system_number", Data::U32(64_500)),
        ("autonomous_system_organization", text("Example Net")),
    ]);
    let nameless = map([("autonomous_system_number", Data::U32(64_501))]);
    write(
        "networks.mmdb",
        database("GeoLite2-ASN", &[([127, 0, 0, 0], 24, network), ([8, 8, 0, 0], 16, nameless)]),
    );
    write("broken.mmdb", b"no database at all".to_vec());
    write("readme.txt", b"not looked at".to_vec());
    folder
}

#[test]
fn addresses_have_places() {
    let places = folder();
    let mut hub =
        HubBuilder::new().script("eval.py", EVAL).arg("--geoip").arg(places.path().to_str().unwrap()).start();
    hub.logs("broken.mmdb is left out");
    let mut master = hub.master();
    let _nick = Client::connect(&hub, 7).login("nick", None);
    all(
        &mut master,
        &[
            ("vh.GetUserCC('nick'), vh.GetUserCC('nobody'), vh.GetUserCC('vhpy')", "('DE', None, None)"),
            (
                "vh.GetIPCC('8.8.8.8'), vh.GetIPCC('1.1.1.1'), vh.GetIPCC('x'), vh.GetIPCC(None)",
                "('US', None, None, None)",
            ),
            (
                "vh.GetIPCN('8.8.8.8'), vh.GetIPCN('9.1.2.3'), vh.GetIPCN('1.1.1.1')",
                "('United States', 'XX', None)",
            ),
            (
                "vh.GetIPASN('127.0.0.5'), vh.GetIPASN('8.8.8.8'), vh.GetIPASN('1.1.1.1')",
                "('AS64500 Example Net', 'AS64501', None)",
            ),
            (
                "vh.GetIPASN('127.0.0.5', 'networks'), vh.GetIPASN('127.0.0.5', 'networks.mmdb'), vh.GetIPASN('127.0.0.5', database='none')",
                "('AS64500 Example Net', 'AS64500 Example Net', None)",
            ),
            (
                "vh.GetIPCity('127.0.0.5'), vh.GetIPCity('127.0.0.200'), vh.GetIPCity('x')",
                "('Cologne', None, None)",
            ),
            (
                "vh.GetIPCity('127.0.0.200', 'more places'), vh.GetIPCity(ip='127.0.0.5', db='places')",
                "('Elsewhere', 'Cologne')",
            ),
            (
                "sorted(vh.GetGeoIP('127.0.0.5').items())",
                "[('area_code', 0), ('city', 'Cologne'), ('continent', 'Europe'), ('continent_code', 'EU'), \
                 ('country', 'Germany'), ('country_code', 'DE'), ('country_code_xxx', ''), ('host', '127.0.0.5'), \
                 ('latitude', 50.9375), ('longitude', 6.9603), ('metro_code', 17), ('postal_code', '50667'), \
                 ('range_high', '127.0.0.127'), ('range_low', '127.0.0.0'), ('region', 'North Rhine-Westphalia'), \
                 ('region_code', 'NW'), ('time_zone', 'Europe/Berlin')]",
            ),
            ("vh.GetGeoIP('127.0.0.200')['country'], vh.GetGeoIP('127.0.0.200')['city']", "('Germany', '')"),
            ("vh.GetGeoIP('127.0.0.200', 'more places')['city']", "'Elsewhere'"),
            (
                "vh.GetGeoIP('1.1.1.1'), vh.GetGeoIP('x'), vh.GetGeoIP('127.0.0.5', 'none')",
                "(None, None, None)",
            ),
            ("vh.SetUserIP('nick', '8.8.4.4'), vh.GetUserCC('nick')", "(True, 'US')"),
            (
                "vh.SetConfig('mmdb_names_lang', 'ru'), vh.GetIPCN('8.8.8.8') == '\u{421}\u{428}\u{410}'",
                "(True, True)",
            ),
            ("vh.GetGeoIP('127.0.0.5')['region']", "'North Rhine-Westphalia'"),
        ],
    );
}

#[test]
fn places_are_told_in_the_hubs_encoding() {
    let places = folder();
    let hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .arg("--geoip")
        .arg(places.path().to_str().unwrap())
        .arg("--encoding")
        .arg("cp1251")
        .set("mmdb_names_lang", "ru")
        .start();
    let mut master = hub.master();
    master.chat("+eval vh.mc(vh.GetIPCN('127.0.0.5'))");
    let message = master.wait_for_bytes(b"\xc3\xe5\xf0\xec\xe0\xed\xe8\xff");
    assert_eq!(message, b"<vhpy> \xc3\xe5\xf0\xec\xe0\xed\xe8\xff");
    master.wait_for("= True");
    all(&mut master, &[("vh.GetGeoIP('127.0.0.5')['city']", "'\\u041a\\u0451\\u043b\\u044c\\u043d'")]);
}

#[test]
fn a_folder_that_is_not_there_is_told() {
    let builder = HubBuilder::new().arg("--geoip").arg("/no/such/folder");
    let output = builder.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot read the folder /no/such/folder of --geoip"), "{said}");
}
