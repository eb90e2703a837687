// Names of fields as logs and rules write them, and the attribute of OCSF 1.x that each is. Only what is sure: a wrong name misleads.
#include <algorithm>
#include <iterator>

#include "base/text.hpp"
#include "show/api/records/records.hpp"

namespace bavn::show::api {

namespace {

struct Attribute {
  std::string_view field, ocsf;
  std::string_view only_in = {};  // class; empty: any
};

// Sorted by field, lower case.
constexpr Attribute kAttributes[] = {
    {"action", "action"},
    {"actor", "actor.user.name"},
    {"appid", "actor.app_uid"},
    {"applicationid", "actor.app_uid"},
    {"c-ip", "src_endpoint.ip"},
    {"c-uri", "http_request.url.url_string"},
    {"c-useragent", "http_request.user_agent"},
    {"channel", "metadata.log_name"},
    {"clientip", "src_endpoint.ip"},
    {"clientipaddress", "src_endpoint.ip"},
    {"commandline", "process.cmd_line"},
    {"computer", "device.hostname"},
    {"computername", "device.hostname"},
    {"creationtime", "time"},
    {"cs-host", "http_request.url.hostname"},
    {"cs-method", "http_request.http_method"},
    {"cs-referer", "http_request.referrer"},
    {"cs-uri", "http_request.url.url_string"},
    {"cs-uri-query", "http_request.url.query_string"},
    {"cs-uri-stem", "http_request.url.path"},
    {"cs-useragent", "http_request.user_agent"},
    {"currentdirectory", "process.working_directory"},
    {"destinationhostname", "dst_endpoint.hostname"},
    {"destinationip", "dst_endpoint.ip"},
    {"destinationport", "dst_endpoint.port"},
    {"dst_ip", "dst_endpoint.ip"},
    {"dst_port", "dst_endpoint.port"},
    {"dstip", "dst_endpoint.ip"},
    {"dstport", "dst_endpoint.port"},
    {"eventid", "metadata.event_code"},
    {"eventrecordid", "metadata.uid"},
    {"from", "email.from", "email_activity"},
    {"fromip", "src_endpoint.ip", "email_activity"},
    {"hashes", "process.file.hashes"},
    {"hostname", "device.hostname"},
    {"id.orig_h", "src_endpoint.ip"},
    {"id.orig_p", "src_endpoint.port"},
    {"id.resp_h", "dst_endpoint.ip"},
    {"id.resp_p", "dst_endpoint.port"},
    {"image", "process.file.path"},
    {"imageloaded", "module.file.path"},
    {"ipaddress", "src_endpoint.ip"},
    {"logontype", "logon_type_id"},
    {"messageid", "email.message_uid", "email_activity"},
    {"messagesubject", "email.subject", "email_activity"},
    {"newprocessname", "process.file.path"},
    {"operation", "activity_name"},
    {"parentcommandline", "actor.process.cmd_line"},
    {"parentimage", "actor.process.file.path"},
    {"parentprocessid", "actor.process.pid"},
    {"processid", "process.pid"},
    {"query", "query.hostname", "dns_activity"},
    {"queryname", "query.hostname"},
    {"querytype", "query.type"},
    {"recipientaddress", "email.to", "email_activity"},
    {"sc-bytes", "http_response.length"},
    {"sc-status", "http_response.code"},
    {"senderaddress", "email.from", "email_activity"},
    {"sourceip", "src_endpoint.ip"},
    {"sourceport", "src_endpoint.port"},
    {"src_ip", "src_endpoint.ip"},
    {"src_port", "src_endpoint.port"},
    {"srcip", "src_endpoint.ip"},
    {"srcport", "src_endpoint.port"},
    {"status", "status"},
    {"subject", "email.subject", "email_activity"},
    {"subjectusername", "actor.user.name"},
    {"targetfilename", "file.path"},
    {"targetobject", "reg_key.path"},
    {"targetusername", "user.name"},
    {"time", "time"},
    {"timecreated", "time"},
    {"to", "email.to", "email_activity"},
    {"url", "http_request.url.url_string"},
    {"user", "actor.user.name"},
    {"user_agent", "http_request.user_agent"},
    {"useragent", "http_request.user_agent"},
    {"userid", "actor.user.name"},
    {"username", "actor.user.name"},
    {"userprincipalname", "actor.user.email_addr"},
};
static_assert(std::is_sorted(std::begin(kAttributes), std::end(kAttributes),
                             [](const Attribute& a, const Attribute& b) { return a.field < b.field; }));

std::string_view by_role(event::Role role) {
  switch (role) {
    case event::Role::message_id: return "email.message_uid";
    case event::Role::subject: return "email.subject";
    case event::Role::user_agent: return "http_request.user_agent";
    case event::Role::ja3: return "tls.ja3_hash.value";
    default: return {};
  }
}

}  // namespace

std::string_view ocsf_attribute(std::string_view ocsf_class, std::string_view field, event::Role role) {
  const std::string wanted = to_lower(field);
  const auto find = [&](std::string_view name) -> std::string_view {
    const auto at = std::lower_bound(std::begin(kAttributes), std::end(kAttributes), name,
                                     [](const Attribute& a, std::string_view b) { return a.field < b; });
    if (at == std::end(kAttributes) || at->field != name) return {};
    return at->only_in.empty() || at->only_in == ocsf_class ? at->ocsf : std::string_view();
  };
  if (const auto whole = find(wanted); !whole.empty()) return whole;
  // The last part of a path: "Event.System.Computer".
  if (const auto dot = wanted.rfind('.'); dot != std::string::npos)
    if (const auto last = find(std::string_view(wanted).substr(dot + 1)); !last.empty()) return last;
  return by_role(role);
}

}  // namespace bavn::show::api
