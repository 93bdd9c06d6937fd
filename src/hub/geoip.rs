//! Where addresses are, from MaxMind's files; what scripts make of it is left to them.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use maxminddb::{Reader, geoip2};

/// The databases of one folder: all its `.mmdb` files, told apart by what they say they are.
#[derive(Default)]
pub struct GeoIp {
    databases: Vec<(String, Reader<Vec<u8>>)>,
    language: String,
}

/// All that is known of a place.
#[derive(Clone, Debug, Default, PartialEq)]
#[allow(missing_docs, reason = "named as scripts see them")]
pub struct Place {
    pub range_low: String,
    pub range_high: String,
    pub country_code: String,
    pub country: String,
    pub region_code: String,
    pub region: String,
    pub time_zone: String,
    pub continent_code: String,
    pub continent: String,
    pub city: String,
    pub postal_code: String,
    pub latitude: f64,
    pub longitude: f64,
    pub metro_code: i64,
}

impl GeoIp {
    /// Reads all databases of a folder. Those that cannot be read are logged and left out.
    pub fn open(folder: &Path) -> std::io::Result<GeoIp> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "mmdb"))
            .collect();
        files.sort();
        let mut databases = Vec::new();
        for path in files {
            match Reader::open_readfile(&path) {
                Ok(reader) => {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    log::info!("{}: {}", path.display(), reader.metadata().database_type);
                    databases.push((name, reader));
                }
                Err(error) => log::warn!("{} is left out: {error}", path.display()),
            }
        }
        Ok(GeoIp { databases, language: "en".into() })
    }

    /// In which language places are named, such as `de`; where there is no such name, English.
    pub fn set_language(&mut self, language: &str) {
        self.language = if language.is_empty() { "en".into() } else { language.into() };
    }

    /// The databases of these types, those of the first type first, or the one of a name.
    fn databases<'a>(
        &'a self,
        kinds: &'a [&'a str],
        name: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Reader<Vec<u8>>> {
        // Any type will do for a name, but once.
        let kinds = if name.is_some() { &[""] } else { kinds };
        kinds.iter().flat_map(move |kind| {
            self.databases.iter().filter_map(move |(file, reader)| {
                let wanted = match name {
                    Some(name) => Path::new(name).file_stem().is_some_and(|stem| stem == file.as_str()),
                    None => reader.metadata().database_type.contains(kind),
                };
                wanted.then_some(reader)
            })
        })
    }

    /// The country's code and name.
    pub fn country(&self, ip: IpAddr) -> Option<(String, String)> {
        self.databases(&["Country", "City"], None).find_map(|reader| {
            let found: geoip2::Country<'_> = reader.lookup(ip).ok()?.decode().ok()??;
            let code = found.country.iso_code?;
            Some((code.into(), self.name(&found.country.names).unwrap_or(code).into()))
        })
    }

    /// The city.
    pub fn city(&self, ip: IpAddr, name: Option<&str>) -> Option<String> {
        self.databases(&["City"], name).find_map(|reader| {
            let found: geoip2::City<'_> = reader.lookup(ip).ok()?.decode().ok()??;
            Some(self.name(&found.city.names)?.into())
        })
    }

    /// The autonomous system: `AS1234 Name`.
    pub fn asn(&self, ip: IpAddr, name: Option<&str>) -> Option<String> {
        self.databases(&["ASN", "ISP"], name).find_map(|reader| {
            let found: geoip2::Asn<'_> = reader.lookup(ip).ok()?.decode().ok()??;
            let number = found.autonomous_system_number?;
            Some(match found.autonomous_system_organization {
                Some(organization) => format!("AS{number} {organization}"),
                None => format!("AS{number}"),
            })
        })
    }

    /// All that is known of an address.
    pub fn place(&self, ip: IpAddr, name: Option<&str>) -> Option<Place> {
        self.databases(&["City", "Country"], name).find_map(|reader| self.place_in(reader, ip))
    }

    fn place_in(&self, reader: &Reader<Vec<u8>>, ip: IpAddr) -> Option<Place> {
        let result = reader.lookup(ip).ok()?;
        let found: geoip2::City<'_> = result.decode().ok()??;
        let text = |text: Option<&str>| text.unwrap_or_default().to_string();
        let network = result.network().ok();
        let region = found.subdivisions.first();
        Some(Place {
            range_low: network.map(|network| network.network().to_string()).unwrap_or_default(),
            range_high: network.map(|network| network.broadcast().to_string()).unwrap_or_default(),
            country_code: text(found.country.iso_code),
            country: text(self.name(&found.country.names)),
            region_code: text(region.and_then(|region| region.iso_code)),
            region: text(region.and_then(|region| self.name(&region.names))),
            time_zone: text(found.location.time_zone),
            continent_code: text(found.continent.code),
            continent: text(self.name(&found.continent.names)),
            city: text(self.name(&found.city.names)),
            postal_code: text(found.postal.code),
            latitude: found.location.latitude.unwrap_or(0.0),
            longitude: found.location.longitude.unwrap_or(0.0),
            metro_code: found.location.metro_code.map_or(0, i64::from),
        })
    }

    fn name<'a>(&self, names: &geoip2::Names<'a>) -> Option<&'a str> {
        let wanted = match self.language.as_str() {
            "de" => names.german,
            "es" => names.spanish,
            "fr" => names.french,
            "ja" => names.japanese,
            "pt-BR" | "pt" => names.brazilian_portuguese,
            "ru" => names.russian,
            "zh-CN" | "zh" => names.simplified_chinese,
            _ => None,
        };
        wanted.or(names.english)
    }
}
