//! PURE. What every device in the house reports; `/strings`, `/temps`, `/alerts`, `/fans`, `/freq` and `/pod` are picked
//! from it, as pypowerwall does.

use super::house::{Reading, UNIT_CAPACITY, UNIT_POWER, UNITS, watt_hours};
use super::json::{Json, object};

const GATEWAY: &str = "STSTSM--1232100-00-E--T0000000000000";
const PVAC: &str = "PVAC--1538100-00-F--C0000000000000";
/// Thermal controller, inverter and battery pod of each unit.
const UNIT_DEVICES: [(&str, &str, &str); UNITS as usize] = [
    (
        "TETHC--2012170-25-E--T0000000000000",
        "TEPINV--1081100-13-V--T0000000000",
        "TEPOD--1081100-13-V--T0000000000",
    ),
    (
        "TETHC--3012170-05-B--T0000000000000",
        "TEPINV--1081100-10-U--T0000000000",
        "TEPOD--1081100-10-U--T0000000000",
    ),
];
/// The strings of panels; B is not connected. Each with its share of the sun in percent.
const STRINGS: [(&str, i64); 4] = [("A", 24), ("B", 0), ("C", 38), ("D", 38)];
const FIRMWARE: &str = "4064fc6a5b3242";

/// `/vitals`: every device by its name.
pub fn devices(reading: &Reading) -> Json {
    let mut devices = vec![
        device(
            "NEURIO--V000000000000",
            "NEURIO",
            Some(GATEWAY),
            reading,
            neurio(reading),
        ),
        device(
            PVAC,
            "TESLA",
            Some(UNIT_DEVICES[0].0),
            reading,
            pvac(reading),
        ),
        device(
            "PVS--1538100-00-F--C0000000000000",
            "TESLA",
            Some(PVAC),
            reading,
            pvs(),
        ),
        device(GATEWAY, "TESLA", None, reading, gateway()),
    ];
    for (unit, (thermal, inverter, pod)) in UNIT_DEVICES.into_iter().enumerate() {
        devices.push(device(
            inverter,
            "TESLA",
            Some(thermal),
            reading,
            inverter_of(reading),
        ));
        devices.push(device(
            pod,
            "TESLA",
            Some(thermal),
            reading,
            pod_of(reading),
        ));
        let air = tenths(reading.air - 0.4 * unit as f64);
        let own = object! { "THC_AmbientTemp": air, "THC_State": "THC_STATE_AUTONOMOUSCONTROL" };
        devices.push(device(
            thermal,
            "TESLA",
            Some(GATEWAY),
            reading,
            own.and(ecu(224)),
        ));
    }
    let nameplate = object! { "pvInverterAttributes": object! { "nameplateRealPowerW": 7680 } };
    devices.push(device(
        "TESLA--1538100-00-F--C0000000000000",
        "TESLA",
        Some(GATEWAY),
        reading,
        nameplate,
    ));
    devices.push(device(
        "TESLA--J0000000000000",
        "TESLA",
        Some(GATEWAY),
        reading,
        meter_location(1),
    ));
    devices.push(device(
        "TESYNC--1493315-01-F--J0000000000000",
        "TESLA",
        Some(GATEWAY),
        reading,
        sync(reading),
    ));
    Json::Object(devices)
}

/// `/strings`, and part of `/json`: what each string of panels gives.
pub fn strings(devices: &Json) -> Json {
    let of = |prefix: &str, key: String| {
        let device = with_prefix(devices, prefix)
            .next()
            .and_then(|(_, device)| device.member(&key));
        device.cloned().unwrap_or(Json::Null)
    };
    let string = |name: &str| {
        object! {
            "Current": of("PVAC--", format!("PVAC_PVCurrent_{name}")),
            "Voltage": of("PVAC--", format!("PVAC_PVMeasuredVoltage_{name}")),
            "Power": of("PVAC--", format!("PVAC_PVMeasuredPower_{name}")),
            "State": of("PVAC--", format!("PVAC_PvState_{name}")),
            "Connected": of("PVS--", format!("PVS_String{name}_Connected")),
        }
    };
    Json::Object(
        STRINGS
            .iter()
            .map(|(name, _)| ((*name).to_owned(), string(name)))
            .collect(),
    )
}

/// `/temps`: the air at each unit, by the name of its thermal controller.
pub fn temperatures(devices: &Json) -> Json {
    let air = |(name, device): &(String, Json)| {
        Some((name.clone(), device.member("THC_AmbientTemp")?.clone()))
    };
    Json::Object(with_prefix(devices, "TETHC--").filter_map(air).collect())
}

/// `/temps/pw`: the same by number.
pub fn temperatures_by_unit(devices: &Json) -> Json {
    let temperatures = temperatures(devices);
    let numbered = |(index, (_, air)): (usize, &(String, Json))| {
        (format!("PW{}_temp", index + 1), air.clone())
    };
    Json::Object(
        temperatures
            .members()
            .iter()
            .enumerate()
            .map(numbered)
            .collect(),
    )
}

/// `/alerts`: each once.
pub fn alerts(devices: &Json) -> Json {
    let mut alerts: Vec<Json> = Vec::new();
    for alert in devices
        .members()
        .iter()
        .filter_map(|(_, device)| device.member("alerts"))
        .flat_map(Json::items)
    {
        if !alerts.contains(alert) {
            alerts.push(alert.clone());
        }
    }
    Json::List(alerts)
}

/// `/alerts/pw`: each once, as a flag.
pub fn alert_flags(devices: &Json) -> Json {
    let flag = |alert: &Json| match alert {
        Json::Text(name) => Some((name.clone(), Json::Whole(1))),
        _ => None,
    };
    Json::Object(alerts(devices).items().iter().filter_map(flag).collect())
}

/// `/freq`: frequency and voltage at the inverters, at the switch and at the meters.
pub fn frequencies(devices: &Json) -> Json {
    let keys = ["PINV_Fout", "PINV_VSplit1", "PINV_VSplit2"];
    let mut members = by_unit(devices, "TEPINV--", &keys, Json::clone);
    for (_, sync) in with_prefix(devices, "TESYNC--") {
        let grid =
            |(key, _): &&(String, Json)| key.starts_with("ISLAND_") || key.starts_with("METER_");
        members.extend(sync.members().iter().filter(grid).cloned());
    }
    members.push(("grid_status".to_owned(), Json::Whole(1)));
    Json::Object(members)
}

/// The part of `/pod` that comes from the pods, flags as numbers.
pub fn pods(devices: &Json) -> Json {
    let keys = [
        "POD_ActiveHeating",
        "POD_ChargeComplete",
        "POD_ChargeRequest",
        "POD_DischargeComplete",
        "POD_PermanentlyFaulted",
        "POD_PersistentlyFaulted",
        "POD_enable_line",
        "POD_available_charge_power",
        "POD_available_dischg_power",
        "POD_nom_energy_remaining",
        "POD_nom_energy_to_be_charged",
        "POD_nom_full_pack_energy",
    ];
    let flag_as_number = |value: &Json| match value {
        Json::Bool(flag) => Json::Whole(i64::from(*flag)),
        other => other.clone(),
    };
    Json::Object(by_unit(devices, "TEPOD--", &keys, flag_as_number))
}

/// `PW1_name` and these keys of the first device so called, then `PW2_name` and so on.
fn by_unit(
    devices: &Json,
    prefix: &str,
    keys: &[&str],
    value: impl Fn(&Json) -> Json,
) -> Vec<(String, Json)> {
    let mut members = Vec::new();
    for (index, (name, device)) in with_prefix(devices, prefix).enumerate() {
        let unit = index + 1;
        members.push((format!("PW{unit}_name"), Json::from(name.as_str())));
        let found = keys
            .iter()
            .filter_map(|key| Some((format!("PW{unit}_{key}"), value(device.member(key)?))));
        members.extend(found);
    }
    members
}

fn with_prefix<'a>(devices: &'a Json, prefix: &'a str) -> impl Iterator<Item = &'a (String, Json)> {
    devices
        .members()
        .iter()
        .filter(move |(name, _)| name.starts_with(prefix))
}

/// A device by name: `KIND--PART--SERIAL`, or `KIND--SERIAL`. Those that name `TESLA` as kind have no part number.
fn device(
    name: &str,
    maker: &str,
    parent: Option<&str>,
    reading: &Reading,
    own: Json,
) -> (String, Json) {
    let (kind, number) = name.split_once("--").unwrap_or_default();
    let firmware = match kind {
        "NEURIO" => "1.7.2-Tesla",
        "PVS" => "44857755923fa5",
        "STSTSM" => "2023-11-30-g6e07d12eea",
        _ => FIRMWARE,
    };
    let seen = i64::try_from(reading.at.as_secs()).unwrap_or(i64::MAX);
    let mut about = own.and(object! {
        "firmwareVersion": firmware, "lastCommunicationTime": seen, "manufacturer": maker,
    });
    if let Some(parent) = parent {
        about = about.and(object! { "componentParentDin": parent });
    }
    let about = match number.split_once("--").filter(|_| kind != "TESLA") {
        Some((part, serial)) => about.and(object! { "partNumber": part, "serialNumber": serial }),
        None => about.and(object! { "serialNumber": number }),
    };
    (name.to_owned(), about)
}

fn ecu(kind: i64) -> Json {
    object! { "teslaEnergyEcuAttributes": object! { "ecuType": kind } }
}

fn meter_location(place: i64) -> Json {
    object! { "meterAttributes": object! { "meterLocation": Json::List(vec![Json::Whole(place)]) } }
}

fn neurio(reading: &Reading) -> Json {
    let solar = reading.power.solar as f64;
    object! { "NEURIO_CT0_InstRealPower": solar, "NEURIO_CT0_Location": "solarRGM" }
        .and(meter_location(5))
}

fn pvac(reading: &Reading) -> Json {
    let solar = reading.power.solar;
    let mut own = object! {
        "PVAC_Fout": frequency(reading), "PVAC_GridState": "Grid_Compliant", "PVAC_InvState": "INV_Grid_Connected",
        "PVAC_Iout": hundredths(solar as f64 / 241.6), "PVAC_Pout": solar as f64, "PVAC_Qout": 20.0,
        "PVAC_LifetimeEnergyPV_Total": watt_hours(reading.energy.solar).floor(), "PVAC_State": "PVAC_Active",
        "PVAC_VHvMinusChassisDC": -210.0, "PVAC_VL1Ground": voltage(reading), "PVAC_VL2Ground": voltage(reading),
        "PVAC_Vout": tenths(2.0 * voltage(reading)), "PVI-PowerStatusSetpoint": "on",
    };
    let mut left = solar;
    for (name, share) in STRINGS {
        let power = if name == "D" {
            left
        } else {
            solar * share / 100
        };
        left -= power;
        let volts = match (share, power) {
            (0, _) => -2.1,
            (_, 0) => 10.3,
            _ => tenths(257.0 + share as f64 + reading.quiver),
        };
        let state = if name == "D" {
            "PV_Active_Parallel"
        } else {
            "PV_Active"
        };
        own = own.and(Json::Object(vec![
            (
                format!("PVAC_PVCurrent_{name}"),
                hundredths(power as f64 / volts.abs()).into(),
            ),
            (
                format!("PVAC_PVMeasuredPower_{name}"),
                (power as f64).into(),
            ),
            (format!("PVAC_PVMeasuredVoltage_{name}"), volts.into()),
            (format!("PVAC_PvState_{name}"), state.into()),
        ]));
    }
    own.and(ecu(296))
}

fn pvs() -> Json {
    let mut own = object! {
        "PVS_EnableOutput": true, "PVS_SelfTestState": "PVS_SelfTestOff", "PVS_State": "PVS_Active", "PVS_vLL": 241.6,
        "alerts": vec!["PVS_a018_MciStringB", "PVS_a060_MciClose"],
    };
    for (name, share) in STRINGS {
        own = own.and(Json::Object(vec![(
            format!("PVS_String{name}_Connected"),
            (share > 0).into(),
        )]));
    }
    own.and(ecu(297))
}

fn gateway() -> Json {
    let alerts = [
        "SystemConnectedToGrid",
        "GridCodesWrite",
        "GridCodesWrite",
        "FWUpdateSucceeded",
        "PodCommissionTime",
    ];
    object! { "STSTSM-Location": "Gateway", "alerts": alerts.to_vec() }.and(ecu(207))
}

fn inverter_of(reading: &Reading) -> Json {
    let kilowatts = (reading.power.battery / UNITS) as f64 / 1_000.0;
    let energy = |total: i64| watt_hours(total / UNITS).floor();
    let volts = voltage(reading);
    object! {
        "PINV_EnergyCharged": energy(reading.energy.charged), "PINV_EnergyDischarged": energy(reading.energy.discharged),
        "PINV_Fout": frequency(reading), "PINV_GridState": "Grid_Compliant", "PINV_HardwareEnableLine": true,
        "PINV_PllFrequency": frequency(reading), "PINV_PllLocked": true, "PINV_Pout": hundredths(kilowatts),
        "PINV_PowerLimiter": "PWRLIM_POD_Power_Limit", "PINV_Qout": 0.0, "PINV_ReadyForGridForming": true,
        "PINV_State": "PINV_GridFollowing", "PINV_VSplit1": volts, "PINV_VSplit2": volts, "PINV_Vout": tenths(2.0 * volts),
        "alerts": vec!["PINV_a067_overvoltageNeutralChassis"],
    }
    .and(ecu(253))
}

fn pod_of(reading: &Reading) -> Json {
    let full = UNIT_CAPACITY as f64;
    let remaining = watt_hours(reading.stored / UNITS).floor();
    let most = UNIT_POWER as f64;
    let is_full = remaining >= full - 1.0;
    let is_empty = remaining < 1.0;
    let power = |possible: bool| if possible { most } else { 0.0 };
    object! {
        "POD_ActiveHeating": reading.air < 5.0, "POD_CCVhold": false, "POD_ChargeComplete": is_full,
        "POD_ChargeRequest": false, "POD_DischargeComplete": is_empty, "POD_PermanentlyFaulted": false,
        "POD_PersistentlyFaulted": false, "POD_available_charge_power": power(!is_full),
        "POD_available_dischg_power": power(!is_empty), "POD_enable_line": true,
        "POD_nom_energy_remaining": remaining, "POD_nom_energy_to_be_charged": full - remaining,
        "POD_nom_full_pack_energy": full, "POD_state": "POD_ACTIVE",
    }
    .and(ecu(226))
}

fn sync(reading: &Reading) -> Json {
    let mut own = Json::Object(Vec::new());
    for (line, volts, hertz, phase) in [
        (1, voltage(reading), frequency(reading), 0.0),
        (2, voltage(reading), frequency(reading), 0.0),
        (3, 0.0, 0.0, -180.5),
    ] {
        own = own.and(Json::Object(vec![
            (format!("ISLAND_VL{line}N_Main"), volts.into()),
            (format!("ISLAND_FreqL{line}_Main"), hertz.into()),
            (format!("ISLAND_VL{line}N_Load"), volts.into()),
            (format!("ISLAND_FreqL{line}_Load"), hertz.into()),
            (format!("ISLAND_PhaseL{line}_Main_Load"), phase.into()),
        ]));
    }
    let import = watt_hours(reading.energy.imported).floor();
    let export = watt_hours(reading.energy.exported).floor();
    let half = reading.power.site / 2;
    own.and(object! {
        "ISLAND_L1L2PhaseDelta": -180.5, "ISLAND_L1L3PhaseDelta": -180.5, "ISLAND_L2L3PhaseDelta": -180.5,
        "ISLAND_GridState": "ISLAND_GridState_Grid_Compliant", "ISLAND_L1MicrogridOk": true,
        "ISLAND_L2MicrogridOk": true, "ISLAND_L3MicrogridOk": false, "ISLAND_ReadyForSynchronization": true,
        "ISLAND_GridConnected": true,
    })
    .and(meter("X", [half, reading.power.site - half], -58.0, [import, export], voltage(reading)))
    .and(meter("Y", [0, 0], 0.0, [2.0, 0.0], voltage(reading)))
    .and(object! {
        "SYNC_ExternallyPowered": false, "SYNC_SiteSwitchEnabled": false,
        "alerts": vec!["SYNC_a001_SW_App_Boot", "SYNC_a046_DoCloseArguments"],
    })
    .and(ecu(259))
}

/// A meter with a current transformer on each of two lines, and one on nothing.
fn meter(
    name: &str,
    [a, b]: [i64; 2],
    reactive: f64,
    [import, export]: [f64; 2],
    volts: f64,
) -> Json {
    let current = |watts: i64| hundredths((watts as f64).hypot(reactive) / volts);
    let members = [
        ("CTA_InstRealPower", a as f64),
        ("CTB_InstRealPower", b as f64),
        ("CTC_InstRealPower", 0.0),
        ("CTA_InstReactivePower", reactive),
        ("CTB_InstReactivePower", reactive),
        ("CTC_InstReactivePower", 0.0),
        ("LifetimeEnergyImport", import),
        ("LifetimeEnergyExport", export),
        ("VL1N", volts),
        ("VL2N", volts),
        ("VL3N", 0.0),
        ("CTA_I", current(a)),
        ("CTB_I", current(b)),
        ("CTC_I", 0.0),
    ];
    Json::Object(
        members
            .iter()
            .map(|(key, value)| (format!("METER_{name}_{key}"), (*value).into()))
            .collect(),
    )
}

/// Frequency of the grid in Hz.
pub fn frequency(reading: &Reading) -> f64 {
    (60_000.0 + 20.0 * reading.quiver).round() / 1_000.0
}

/// Voltage of a line in V.
pub fn voltage(reading: &Reading) -> f64 {
    tenths(121.0 + 0.6 * reading.quiver)
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

fn hundredths(value: f64) -> f64 {
    // Plus zero: there is no -0.0 on a meter.
    (value * 100.0).round() / 100.0 + 0.0
}
