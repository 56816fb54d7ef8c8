//! Fetches `vega-datasets` (BSD-3-Clause) from npm into a cache folder and reads events from it,
//! in time order. Nothing of the data is part of this repository.

use crate::Dataset;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

const PACKAGE: &str = "vega-datasets";
/// Fixed, so that a replay is the same next year.
const VERSION: &str = "3.2.1";

/// Something that happened, ready to be published.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Milliseconds since the Unix epoch. Flights carry local times, taken here as UTC.
    pub at_ms: i64,
    /// Unique within the dataset.
    pub id: String,
    /// Levels divided by `/`, to filter on.
    pub key: String,
    pub data: Value,
}

/// Reads the dataset, after fetching it if the cache does not have it.
pub async fn load(dataset: Dataset, cache: &Path) -> Result<Vec<Event>, String> {
    let folder = fetch(cache).await?;
    let mut events = match dataset {
        Dataset::Earthquakes => earthquakes(&read(&folder, "earthquakes.json").await?)?,
        Dataset::Flights => {
            let flights_text = read(&folder, "flights-20k.json").await?;
            flights(&flights_text, &read(&folder, "airports.csv").await?)?
        }
    };
    events.sort_by_key(|event| event.at_ms);
    Ok(events)
}

async fn fetch(cache: &Path) -> Result<PathBuf, String> {
    let folder = cache.join("node_modules").join(PACKAGE).join("data");
    if tokio::fs::try_exists(folder.join("earthquakes.json")).await.unwrap_or(false) {
        return Ok(folder);
    }
    eprintln!("fetching {PACKAGE} {VERSION} with npm into {}", cache.display());
    let shown = |error: std::io::Error| format!("{}: {error}", cache.display());
    tokio::fs::create_dir_all(cache).await.map_err(shown)?;
    let status = tokio::process::Command::new("npm")
        .args(["install", "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-package-lock", "--loglevel=error", "--prefix"])
        .arg(cache)
        .arg(format!("{PACKAGE}@{VERSION}"))
        .stdout(std::process::Stdio::null())
        .status()
        .await
        .map_err(|error| format!("npm did not start ({error}); install Node.js with npm"))?;
    if status.success() { Ok(folder) } else { Err(format!("npm ended with {status}")) }
}

async fn read(folder: &Path, name: &str) -> Result<String, String> {
    let path = folder.join(name);
    tokio::fs::read_to_string(&path).await.map_err(|error| format!("{}: {error}", path.display()))
}

#[derive(Deserialize)]
struct Quakes {
    features: Vec<Quake>,
}

#[derive(Deserialize)]
struct Quake {
    id: String,
    properties: QuakeProperties,
    geometry: QuakeGeometry,
}

#[derive(Deserialize)]
struct QuakeProperties {
    mag: Option<f64>,
    place: Option<String>,
    time: i64,
    net: String,
    code: String,
    #[serde(rename = "type")]
    kind: String,
    tsunami: u8,
}

#[derive(Deserialize)]
struct QuakeGeometry {
    /// Longitude, latitude, depth in kilometres.
    coordinates: [f64; 3],
}

/// GeoJSON as the USGS publishes it. Keys are `network/code`: `earthquakes/ci/+` is California's.
pub fn earthquakes(text: &str) -> Result<Vec<Event>, String> {
    let quakes: Quakes = serde_json::from_str(text).map_err(|e| format!("earthquakes: {e}"))?;
    Ok(quakes.features.into_iter().map(quake).collect())
}

fn quake(quake: Quake) -> Event {
    let QuakeProperties { mag, place, time, net, code, kind, tsunami } = quake.properties;
    let [longitude, latitude, depth_km] = quake.geometry.coordinates;
    let data = json!({
        "magnitude": mag,
        "place": place,
        "time_ms": time,
        "longitude": longitude,
        "latitude": latitude,
        "depth_km": depth_km,
        "kind": kind,
        "tsunami": tsunami != 0,
    });
    Event { at_ms: time, id: quake.id, key: format!("{net}/{code}"), data }
}

#[derive(Deserialize)]
struct Flight {
    date: String,
    delay: i64,
    distance: i64,
    origin: String,
    destination: String,
}

/// Keys are `origin/destination`: `flights/SFO/+` is all that left San Francisco. The airports'
/// places are joined in, so that a reader can draw a flight without a table of its own.
pub fn flights(text: &str, airports_csv: &str) -> Result<Vec<Event>, String> {
    let flights: Vec<Flight> = serde_json::from_str(text).map_err(|e| format!("flights: {e}"))?;
    let places = airports(airports_csv);
    let events = flights.into_iter().enumerate();
    events.map(|(index, found)| flight(index, found, &places)).collect()
}

fn flight(index: usize, flight: Flight, places: &Airports<'_>) -> Result<Event, String> {
    let Flight { date, delay, distance, origin, destination } = flight;
    let at = jiff::civil::DateTime::strptime("%Y/%m/%d %H:%M", &date)
        .and_then(|at| at.to_zoned(jiff::tz::TimeZone::UTC))
        .map_err(|error| format!("flight {index}: {error}"))?;
    let at_ms = at.timestamp().as_millisecond();
    let place = |code: &str| {
        let (longitude, latitude, city) = places.get(code)?;
        Some(json!({ "longitude": longitude, "latitude": latitude, "city": city }))
    };
    let data = json!({
        "origin": origin,
        "destination": destination,
        "departed": date,
        "time_ms": at_ms,
        "delay_minutes": delay,
        "distance_miles": distance,
        "from": place(&origin),
        "to": place(&destination),
    });
    Ok(Event { at_ms, id: index.to_string(), key: format!("{origin}/{destination}"), data })
}

type Airports<'a> = HashMap<&'a str, (f64, f64, &'a str)>;

/// `iata,name,city,state,country,latitude,longitude`. Names may hold commas in quotes; places are
/// counted from the end, where none do. A line that does not fit is left out: its airport's flights
/// then carry no place.
fn airports(csv: &str) -> Airports<'_> {
    csv.lines().skip(1).filter_map(airport).collect()
}

fn airport(line: &str) -> Option<(&str, (f64, f64, &str))> {
    let (code, _) = line.split_once(',')?;
    let mut fields = line.rsplit(',');
    let longitude = fields.next()?.trim().parse().ok()?;
    let latitude = fields.next()?.trim().parse().ok()?;
    let city = fields.nth(2)?.trim_matches('"');
    Some((code, (longitude, latitude, city)))
}
