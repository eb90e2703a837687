"""Log lines -> fields with Sigma's names and the log sources they belong to.

Written without looking at Bavn's descriptions of formats: the tables are those of pySigma (windows_logsource_mapping), of
pysigma-pipeline-sysmon and -windows (event numbers, fields of 4688 and 4657) and of Sigma's taxonomy. What both sides get wrong in the
same way is not found here; that is what the regression events of SigmaHQ are for.
"""
import html
import json
import re

from sigma.pipelines.common import windows_logsource_mapping

SYSMON = {1: ["process_creation"], 2: ["file_change"], 3: ["network_connection"], 4: ["sysmon_status"], 5: ["process_termination"],
          6: ["driver_load"], 7: ["image_load"], 8: ["create_remote_thread"], 9: ["raw_access_thread"], 10: ["process_access"],
          11: ["file_event"], 12: ["registry_add", "registry_delete", "registry_event"], 13: ["registry_set", "registry_event"],
          14: ["registry_rename", "registry_event"], 15: ["create_stream_hash"], 16: ["sysmon_status"], 17: ["pipe_created"],
          18: ["pipe_created"], 19: ["wmi_event"], 20: ["wmi_event"], 21: ["wmi_event"], 22: ["dns_query"], 23: ["file_delete"],
          24: ["clipboard_capture"], 25: ["process_tampering"], 26: ["file_delete_detected", "file_delete"], 27: ["file_block_executable"],
          28: ["file_block_shredding"], 29: ["file_executable_detected"], 255: ["sysmon_error"]}
# Channel in lower case -> services. Windows does not tell channels apart by case.
SERVICES = {}
for service, channels in windows_logsource_mapping.items():
    for channel in [channels] if isinstance(channels, str) else channels:
        SERVICES.setdefault(channel.lower(), []).append(service)
POWERSHELL = {("powershell", "4103"): "ps_module", ("powershell", "4104"): "ps_script", ("powershell-classic", "400"): "ps_classic_start",
              ("powershell-classic", "600"): "ps_classic_provider_start", ("powershell-classic", "800"): "ps_classic_script"}
AUDIT_PROCESS = {"Image": "NewProcessName", "ParentImage": "ParentProcessName", "User": "SubjectUserName", "LogonId": "SubjectLogonId",
                 "ProcessId": "NewProcessId", "IntegrityLevel": "MandatoryLabel", "ParentProcessId": "ProcessId"}
AUDIT_REGISTRY = {"Image": "ProcessName", "TargetObject": "ObjectName", "Details": "NewValue"}
ZEEK_CATEGORIES = {"conn": ["firewall"], "dns": ["dns"], "http": ["proxy", "webserver"]}
ZEEK_DNS = {"record_type": "qtype_name", "answer": "answers"}


class Event:
    """fields: name -> text, or None for null; sources: (product, category, service) triples; text: what keywords are searched in."""

    def __init__(self, fields, sources, values):
        self.fields, self.sources, self.text = fields, sources, "\n".join(values)


def text_of(value):
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def flatten(value, path, fields):
    """Paths joined with points. Several values of a list stand in one column, a line each: SQL has no better place for them."""
    if isinstance(value, dict):
        for key, inner in value.items():
            flatten(inner, f"{path}.{key}" if path else key, fields)
    elif isinstance(value, list):
        for inner in value:
            flatten(inner, path, fields)
    else:
        text = text_of(value)
        if fields.get(path) is None:
            fields[path] = text
        elif text is not None:
            fields[path] += "\n" + text


def renamed(fields, names):
    """Names of the taxonomy besides those of the record; what the record itself says comes first."""
    for name, original in names.items():
        if fields.get(name) is None and fields.get(original) is not None:
            fields[name] = fields[original]


def windows(fields, values):
    channel, number = (fields.get("Channel") or "").lower(), fields.get("EventID") or ""
    services = SERVICES.get(channel, [])
    sources = [("windows", None, None)] + [("windows", None, s) for s in services]
    if "sysmon" in services and number.isdigit():
        sources += [("windows", category, "sysmon") for category in SYSMON.get(int(number), [])]
    for service in services:
        if (service, number) in POWERSHELL:
            sources.append(("windows", POWERSHELL[service, number], service))
    fields = dict(fields)
    if "security" in services and number == "4688":
        sources.append(("windows", "process_creation", "security"))
        fields |= {"ParentProcessId": fields.get("ProcessId")}
        renamed(fields, AUDIT_PROCESS)
    if "security" in services and number == "4657":
        renamed(fields, AUDIT_REGISTRY)
        sources.append(("windows", "registry_event", "security"))
        kind = {"%%1904": "registry_add", "%%1905": "registry_set", "%%1906": "registry_delete"}.get(fields.get("OperationType"))
        if kind:
            sources.append(("windows", kind, "security"))
    return Event(fields, sources, values)


def evtx(record):
    """The JSON of evtx_dump: Event.System, Event.EventData or Event.UserData.<name>."""
    event, fields = record["Event"], {}
    system = dict(event["System"])
    number = system.get("EventID")
    if isinstance(number, dict):
        system["EventID"] = number["#text"]
    provider = (system.pop("Provider", None) or {}).get("#attributes", {}).get("Name")
    data = event.get("EventData") or {}
    for inner in (event.get("UserData") or {}).values():
        if isinstance(inner, dict):
            data = {**data, **inner}
    for part in (system, data):
        flatten({k: v for k, v in part.items() if k != "#attributes"}, "", fields)
    fields["Provider_Name"] = provider
    renamed(fields, {"Data": "Data.#text"})
    every = {}
    flatten(record, "", every)
    return windows(fields, [v for v in every.values() if v])


def windows_flat(record):
    fields = {}
    flatten(record, "", fields)
    renamed(fields, {"Provider_Name": "SourceName", "Computer": "Hostname"})
    # EventLog and Source: the columns of Log Analytics.
    renamed(fields, {"Provider_Name": "EventSourceName", "ComputerName": "Computer", "Channel": "EventLog"})
    return windows(fields, [v for v in fields.values() if v])


def zeek(record):
    fields = {}
    flatten(record, "", fields)
    log = fields.get("_path") or fields.get("@stream")
    for name in ("orig_h", "orig_p", "resp_h", "resp_p"):
        renamed(fields, {f"id.{name}": f"id_{name}"})
    values = [v for v in fields.values() if v]
    renamed(fields, {"src_ip": "id.orig_h", "src_port": "id.orig_p", "dst_ip": "id.resp_h", "dst_port": "id.resp_p"})
    if log == "dns":
        renamed(fields, ZEEK_DNS)
    return Event(fields, [("zeek", None, log)] + [("zeek", category, log) for category in ZEEK_CATEGORIES.get(log, [])], values)


def linux_sysmon(record):
    """Sysmon for Linux as syslog carries it: the event is XML inside of the message, sometimes cut off, so no XML reader can be used."""
    message = record["SyslogMessage"]
    fields = {name: html.unescape(value) for name, value in re.findall(r'<Data Name="([^"]+)">([^<]*)</Data>', message)}
    for name in ("EventID", "Channel", "Computer"):
        fields[name] = re.search(rf"<{name}>([^<]*)</{name}>", message)[1]
    categories = SYSMON.get(int(fields["EventID"]), [])
    return Event(fields, [("linux", None, None), ("linux", None, "sysmon")] + [("linux", c, "sysmon") for c in categories], [message])


def of_service(product, service, names=(), lift=()):
    """A cloud log: paths as they are, fields under the paths of lift without it too."""

    def read(record):
        fields = {}
        flatten(record, "", fields)
        values = [v for v in fields.values() if v]
        for prefix in lift:
            for path in [p for p in fields if p.startswith(prefix + ".")]:
                fields.setdefault(path[len(prefix) + 1:], fields[path])
        renamed(fields, dict(names))
        return Event(fields, [(product, None, service)], values)

    return read


def nowhere(record):
    fields = {}
    flatten(record, "", fields)
    return Event(fields, [], [])


# The rules take most names from Log Analytics (AuthenticationRequirement), the export has properties.authenticationRequirement.
# "properties.message" is what pySigma's pipeline for Azure Monitor reads from OperationName.
AZURE = {"operationName": "OperationName", "properties.message": "operationName", "ResultType": "resultType",
         "AuthenticationRequirement": "authenticationRequirement"}
AUDIT = of_service("azure", "auditlogs", AZURE, ["properties"])
SIGN_IN = of_service("azure", "signinlogs", AZURE, ["properties"])
# Log types of Panther -> reader. Types that no Sigma log source describes are not compared.
PANTHER = {"Azure.MonitorActivity": of_service("azure", "activitylogs", {"operationName": "operationName.value", "properties.message": "operationName"}, ["properties"]),
           # Panther writes Okta's names in small letters.
           "Okta.SystemLog": of_service("okta", "okta", {"eventType": "eventtype", "displayMessage": "displaymessage"}), "Duo.Administrator": of_service("cisco", "duo"),
           "OneLogin.Events": of_service("onelogin", "onelogin.events"),
           "Microsoft365.Audit.AzureActiveDirectory": of_service("m365", "audit")}


def panther(line):
    """The event inside of a test of Panther and its reader; None where no Sigma log source fits."""
    types, event = line.get("log_types"), line["event"]
    if not types or len(types) != 1:
        return None
    if types[0] == "Azure.Audit":
        category = event.get("category") or ""
        return AUDIT if category in ("AuditLogs",) else SIGN_IN if "SignInLogs" in category else None
    return PANTHER.get(types[0])


def reader_of(path):
    """By the path inside of the corpora, as the people who collected them describe it."""
    if "sigmahq-regression" in path:
        return evtx
    if "zeek" in path:
        return zeek
    name = path.rsplit("/", 1)[-1]
    known = {"AADAuditEvents.ndjson": AUDIT, "OfficeActivityEvents.ndjson": of_service("m365", "audit"), "Microsoft365DefenderEvents.ndjson": nowhere}
    if name in known:
        return known[name]
    if name.startswith("syslog_sysmon"):
        return linux_sysmon
    if name.startswith("eve-"):
        return nowhere
    return windows_flat


def load(line):
    # Numbers keep the spelling of the record.
    return json.loads(line, parse_float=str, parse_int=str)
