#include "input/sources/microsoft365/first_look.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/text.hpp"
#include "input/sources/microsoft365/lookalikes.hpp"
#include "input/sources/microsoft365/page.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;
using Members = std::map<std::string, std::string>;

std::string second(Instant t) {
  return format_time(std::chrono::floor<std::chrono::seconds>(t));
}
std::string second_plain(Instant t) {
  auto text = second(t);
  text.pop_back();
  return text;
}

Members members(const std::string& line) {
  Members out;
  for (auto& [name, value] : flat_members(line).value_or(std::vector<std::pair<std::string, std::string>>{}))
    out[name] = std::move(value);
  return out;
}

std::string range(const Api& api, Instant from, Instant to) {
  std::string filter = fmt::format("{0} ge {1} and {0} le {2}", api.time_field, second(from), second(to));
  if (!api.filter.empty()) filter = fmt::format("({}) and {}", filter, api.filter);
  return "?$filter=" + percent_encoded(filter);
}

struct Pages {
  std::vector<Record> records;
  std::optional<Trouble> trouble;
  bool more = false;  // there was more than `most` pages
};

/// A list of Graph to its end, or `most` pages of it.
Pages pages(const Ask& ask, const Access& access, Call call, PageShape shape, unsigned most) {
  Pages out;
  std::set<std::string> links;
  for (unsigned n = 0; !call.url.empty(); ++n) {
    if (n == most) {
      out.more = true;
      break;
    }
    if (!same_origin(access.base(call.service), call.url) || !links.insert(call.url).second) {
      out.trouble =
          Trouble{.kind = TroubleKind::bad_link, .what = "the next page is somewhere else, or was there before"};
      break;
    }
    std::optional<Page> page;
    call.unusable = [&](const net::ClientReply& reply) -> std::optional<std::string> {
      auto read = read_page(reply.body, shape);
      if (!read) return read.error().what;
      page = std::move(*read);
      return std::nullopt;
    };
    auto answer = ask(call);
    if (!answer) {
      out.trouble = std::move(answer.error());
      break;
    }
    std::move(page->records.begin(), page->records.end(), std::back_inserter(out.records));
    call.url = page->next;
  }
  return out;
}

Call call_of(const Api& api, const Access& access) {
  Call call{.budget = api.budget, .url = access.url(Service::graph, api.path), .licence = std::string(api.licence)};
  for (const auto p : api.permissions) call.permission += (call.permission.empty() ? "" : " or ") + std::string(p);
  return call;
}

std::string feed(const Access& access, std::string_view rest) {
  return access.url(Service::manage, fmt::format("/api/v1.0/{0}/activity/feed{1}&PublisherIdentifier={0}",
                                                 access.account().tenant, rest));
}

struct Blobs {
  std::vector<std::string> uris;
  std::optional<Trouble> trouble;
};

Blobs blobs(const Ask& ask, const Access& access, std::string_view type, Instant from, Instant to) {
  Blobs out;
  const auto* api = api_named("activity");
  std::set<std::string> links;
  std::string url = feed(access, fmt::format("/subscriptions/content?contentType={}&startTime={}&endTime={}", type,
                                             second_plain(from), second_plain(to)));
  while (!url.empty()) {
    if (!same_origin(access.base(Service::manage), url) || !links.insert(url).second || links.size() > 100) {
      out.trouble =
          Trouble{.kind = TroubleKind::bad_link, .what = "the next list is somewhere else, or was there before"};
      break;
    }
    Call call{.service = Service::manage, .budget = api->budget, .url = url, .permission = "ActivityFeed.Read"};
    std::vector<Record> records;
    call.unusable = [&](const net::ClientReply& reply) -> std::optional<std::string> {
      auto read = read_page(reply.body, PageShape{.list = "", .key = {"contentId"}});
      if (!read) return read.error().what;
      records = std::move(read->records);
      return std::nullopt;
    };
    const auto answer = ask(std::move(call));
    if (!answer) {
      out.trouble = answer.error();
      break;
    }
    for (const auto& record : records) out.uris.push_back(members(record.line)["contentUri"]);
    const auto* next = answer->headers.find("NextPageUri");
    url = next ? *next : std::string();
  }
  return out;
}

SourceCheck check_of(const Api& api, const std::optional<Trouble>& trouble, Instant newest, Instant now, bool some) {
  SourceCheck out{.api = &api};
  if (trouble) {
    out.trouble = trouble->kind;
    out.says = to_string(*trouble);
    const bool waits = trouble->kind == TroubleKind::licence || trouble->kind == TroubleKind::not_ready ||
                       trouble->kind == TroubleKind::throttled;
    out.light = waits ? Light::yellow : Light::red;
    return out;
  }
  out.light = Light::green;
  if (newest != Instant{}) out.lag_seconds = std::max<std::int64_t>(0, (micros(now) - micros(newest)) / 1'000'000);
  out.says = some ? "works" : "works; nothing happened in the last day";
  return out;
}

}  // namespace

std::string_view to_string(Light light) {
  return light == Light::green ? "green" : light == Light::yellow ? "yellow" : "red";
}

std::vector<SourceCheck> check_sources(const Ask& ask, const Access& access, Instant now) {
  std::vector<SourceCheck> out;
  for (const auto& api : apis()) {
    std::optional<Trouble> trouble;
    Instant newest{};
    bool some = false;
    const auto look = [&](Call call, const PageShape& shape) {
      auto got = pages(ask, access, std::move(call), shape, 1);
      trouble = std::move(got.trouble);
      for (const auto& record : got.records) newest = std::max(newest, record.at);
      some = !got.records.empty();
    };
    switch (api.shape) {
      case Shape::list: {
        Call call = call_of(api, access);
        call.url += range(api, now - 24h, now);
        if (api.top > 0) call.url += fmt::format("&$top={}", std::min(api.top, 50U));
        look(std::move(call), PageShape{.time = api.record_time, .key = api.record_key});
        break;
      }
      case Shape::hunting: {
        Call call = call_of(api, access);
        call.method = net::Method::post;
        call.body = fmt::format(
            "{{\"Query\":\"EmailEvents | where Timestamp between (datetime({}) .. datetime({})) | take 50\"}}",
            second(now - 24h), second(now));
        look(std::move(call), PageShape{.list = "results", .time = "Timestamp", .key = {"ReportId"}});
        break;
      }
      case Shape::management: {
        Call call{.service = Service::manage,
                  .budget = api.budget,
                  .method = net::Method::post,
                  .url = feed(access, "/subscriptions/start?contentType=Audit.Exchange"),
                  .permission = "ActivityFeed.Read"};
        if (auto answer = ask(std::move(call)); !answer && answer.error().code != "AF20024") {
          trouble = std::move(answer.error());
          break;
        }
        auto list = blobs(ask, access, "Audit.Exchange", now - 23h, now);
        trouble = std::move(list.trouble);
        some = !list.uris.empty();
        break;
      }
      case Shape::settings: {
        auto answer = ask(Call{.budget = api.budget,
                               .url = access.url(Service::graph, "/v1.0/policies/authorizationPolicy"),
                               .permission = "Policy.Read.All"});
        if (!answer) trouble = std::move(answer.error());
        else
          look(Call{.budget = api.budget,
                    .url = access.url(Service::graph, "/v1.0/applications?$select=id,appId,displayName&$top=10"),
                    .permission = "Directory.Read.All"},
               PageShape{.key = {"id"}});
        break;
      }
    }
    auto check = check_of(api, trouble, newest, now, some);
    if (api.shape == Shape::management && !trouble && !some) {
      check.light = Light::yellow;
      check.trouble = TroubleKind::not_ready;
      check.says = "subscribed; the first records may take up to 12 hours";
    }
    out.push_back(std::move(check));
  }
  return out;
}

Past look_back(const Ask& ask, const Access& access, const std::vector<std::string>& domains, Instant now,
               unsigned trace_days) {
  Past past;
  const auto missing = [&](std::string_view what, const Trouble& trouble) {
    past.not_seen.push_back(fmt::format("{}: {}", what, to_string(trouble)));
  };

  // Who may act on mail without a person.
  const auto directory = [&](std::string path, PageShape shape) {
    return pages(
        ask, access,
        Call{.budget = Budget::directory, .url = access.url(Service::graph, path), .permission = "Directory.Read.All"},
        std::move(shape), 40);
  };
  const auto principals = directory("/v1.0/servicePrincipals?$select=id,appId,displayName,createdDateTime&$top=500",
                                    PageShape{.key = {"id"}});
  if (principals.trouble) missing("applications", *principals.trouble);
  Members since;
  std::vector<std::string> services;
  for (const auto& record : principals.records) {
    auto m = members(record.line);
    since[m["id"]] = m["createdDateTime"];
    if (m["appId"] == "00000003-0000-0000-c000-000000000000" || m["appId"] == "00000002-0000-0ff1-ce00-000000000000")
      services.push_back(m["id"]);
  }
  for (const auto& service : services) {
    Members role_names;
    Call roles{.budget = Budget::directory,
               .url = access.url(Service::graph,
                                 fmt::format("/v1.0/servicePrincipals/{}?$select=id,displayName,appRoles", service)),
               .permission = "Directory.Read.All"};
    std::vector<Record> list;
    roles.unusable = [&](const net::ClientReply& reply) -> std::optional<std::string> {
      auto read = read_page(reply.body, PageShape{.list = "appRoles", .key = {"id"}});
      if (!read) return read.error().what;
      list = std::move(read->records);
      return std::nullopt;
    };
    if (auto answer = ask(std::move(roles)); !answer) missing("names of rights", answer.error());
    for (const auto& role : list) {
      auto m = members(role.line);
      role_names[m["id"]] = m["value"];
    }
    const auto rights = directory(fmt::format("/v1.0/servicePrincipals/{}/appRoleAssignedTo?$top=500", service),
                                  PageShape{.key = {"id"}});
    if (rights.trouble) missing("rights of applications", *rights.trouble);
    for (const auto& record : rights.records) {
      auto m = members(record.line);
      const auto& right = role_names[m["appRoleId"]];
      if (right.starts_with("Mail.") || right == "full_access_as_app" || right == "MailboxSettings.ReadWrite")
        past.applications.push_back(
            {.name = m["principalDisplayName"], .right = right, .since = since[m["principalId"]].substr(0, 10)});
    }
  }

  // May users open the door themselves?
  if (auto answer = ask(Call{.budget = Budget::directory,
                             .url = access.url(Service::graph, "/v1.0/policies/authorizationPolicy"),
                             .permission = "Policy.Read.All"});
      !answer) {
    missing("policies", answer.error());
  } else {
    auto m = members(answer->body);
    auto user = members(m["defaultUserRolePermissions"]);
    past.users_may_register = user["allowedToCreateApps"] == "true";
    past.users_may_consent = user["permissionGrantPoliciesAssigned"].contains("ManagePermissionGrantsForSelf.");
  }
  const auto access_policies =
      pages(ask, access,
            Call{.budget = Budget::directory,
                 .url = access.url(Service::graph, "/v1.0/identity/conditionalAccess/policies"),
                 .permission = "Policy.Read.All",
                 .licence = "Entra ID P1"},
            PageShape{.key = {"id"}}, 5);
  if (access_policies.trouble) missing("conditional access", *access_policies.trouble);
  for (const auto& record : access_policies.records)
    if (members(record.line)["state"] == "enabled") ++past.access_policies;

  // Mailboxes that forward, and rules that hide, as far as the audit log goes back.
  for (unsigned day = 6; day > 0; --day) {
    const auto list = blobs(ask, access, "Audit.Exchange", now - 23h * day, now - 23h * (day - 1));
    if (list.trouble) {
      missing("forwarding and rules", *list.trouble);
      break;
    }
    for (const auto& uri : list.uris) {
      if (past.blobs >= 300 || !same_origin(access.base(Service::manage), uri)) break;
      ++past.blobs;
      Call call{
          .service = Service::manage, .budget = Budget::management, .url = uri, .permission = "ActivityFeed.Read"};
      std::vector<Record> records;
      call.unusable = [&](const net::ClientReply& reply) -> std::optional<std::string> {
        auto read = read_page(reply.body, PageShape{.list = "", .time = "CreationTime", .key = {"Id"}});
        if (!read) return read.error().what;
        records = std::move(read->records);
        return std::nullopt;
      };
      if (!ask(std::move(call))) continue;  // a blob that is gone
      for (const auto& record : records) {
        auto m = members(record.line);
        const auto& op = m["Operation"];
        const bool rule = op == "New-InboxRule" || op == "Set-InboxRule";
        if (!rule && op != "Set-Mailbox") continue;
        // Parameters: [{"Name": .., "Value": ..}, ..]
        const auto parameters = read_page("{\"value\":" + (m["Parameters"].empty() ? "[]" : m["Parameters"]) + "}",
                                          PageShape{.key = {"Name"}});
        std::string what;
        for (const auto& p : parameters ? parameters->records : std::vector<Record>{}) {
          auto pair = members(p.line);
          const auto& name = pair["Name"];
          const bool tells = name == "ForwardingSmtpAddress" || name == "ForwardingAddress" || name == "ForwardTo" ||
                             name == "RedirectTo" || name == "ForwardAsAttachmentTo" ||
                             (name == "DeleteMessage" && pair["Value"] == "True");
          if (tells && !pair["Value"].empty()) what += (what.empty() ? "" : ", ") + name + " " + pair["Value"];
        }
        if (!what.empty()) past.forwarding.push_back({.mailbox = m["UserId"], .what = what, .at = m["CreationTime"]});
      }
    }
  }

  // Who mailed us from a name like ours.
  const auto* trace = api_named("trace");
  const Lookalikes like(domains);
  std::map<std::string, std::uint64_t> senders;
  for (unsigned left = std::min(trace_days, 89U); left > 0;) {
    const unsigned days = std::min(left, 10U);
    Call call = call_of(*trace, access);
    call.url += range(*trace, now - 24h * left, now - 24h * (left - days)) + "&$top=5000";
    const auto got =
        pages(ask, access, std::move(call), PageShape{.time = trace->record_time, .key = trace->record_key}, 20);
    if (got.trouble) {
      missing("look-alike senders", *got.trouble);
      break;
    }
    if (got.more)
      past.not_seen.push_back(fmt::format("look-alike senders: only the newest {} mails of {} days were looked at",
                                          got.records.size(), days));
    past.mails += got.records.size();
    for (const auto& record : got.records) {
      const auto m = members(record.line);
      const auto sender = m.find("senderAddress");
      if (sender == m.end()) continue;
      if (const auto at = sender->second.rfind('@'); at != std::string::npos)
        ++senders[to_lower(sender->second.substr(at + 1))];
    }
    left -= days;
  }
  for (const auto& [domain, mails] : senders)
    if (auto why = like.judge(domain))
      past.lookalikes.push_back({.domain = domain, .why = std::move(*why), .mails = mails});
  return past;
}

DmarcState dmarc_of(const std::string& domain, const Resolver& resolver) {
  DmarcState out{.domain = domain, .policy = {}, .says = {}};
  const auto records = resolver("_dmarc." + domain);
  if (!records && records.error().code != Code::not_found) {
    out.light = Light::yellow;
    out.says = "DNS did not answer: " + records.error().what;
    return out;
  }
  std::vector<std::string> own;
  for (const auto& record : records.value_or(std::vector<std::string>{}))
    if (trim(record).starts_with("v=DMARC1")) own.push_back(record);
  if (own.size() != 1) {  // RFC 9989 as RFC 7489 section 6.6.3: more than one is none
    out.says = own.empty() ? "no DMARC record: everybody can send in this name"
                           : "more than one DMARC record: that counts as none";
    return out;
  }
  bool reports = false;
  for (const auto tag : split(own[0], ';')) {
    const auto eq = tag.find('=');
    if (eq == tag.npos) continue;
    const auto name = to_lower(trim(tag.substr(0, eq)));
    if (name == "p") out.policy = to_lower(trim(tag.substr(eq + 1)));
    reports |= name == "rua";
  }
  out.light = out.policy == "reject" ? Light::green : Light::yellow;
  out.says = out.policy == "reject"       ? "others cannot send in this name"
             : out.policy == "quarantine" ? "forged mail goes to junk; the next step is reject"
                                          : "only watched: forged mail arrives";
  if (!reports) out.says += "; nobody gets the reports (rua)";
  return out;
}

}  // namespace bavn::input::microsoft365
