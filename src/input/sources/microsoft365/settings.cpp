// Applications, what they may do, who agreed, and the policies that let people agree: read every hour, compared with the picture
// before. A change leaves as a record in the shape of the directory's audit log, logged by "Bavn settings picture", so that it
// stands in the history also where the audit log is not licensed or came too late. The first picture is only kept.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <map>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "input/sources/microsoft365/puller.hpp"

namespace bavn::input::microsoft365 {
namespace {

constexpr std::string_view kGraph = "00000003-0000-0000-c000-000000000000",
                           kExchange = "00000002-0000-0ff1-ce00-000000000000";

struct Part {
  std::string kind, path;
  bool single = false;  // an object, not a list
};

/// Members in order of their names, lists in order of their entries: services give them in any order.
std::string canonical(simdjson::dom::element e) {
  std::string out;
  simdjson::dom::object object;
  simdjson::dom::array array;
  if (e.get(object) == simdjson::SUCCESS) {
    std::map<std::string, std::string> members;
    for (const auto field : object)
      if (!field.key.starts_with("@odata.")) members[std::string(field.key)] = canonical(field.value);
    JsonWriter w(out);
    w.object();
    for (const auto& [name, value] : members) w.key(name).raw(value);
    w.end();
  } else if (e.get(array) == simdjson::SUCCESS) {
    std::vector<std::string> entries;
    for (const auto entry : array) entries.push_back(canonical(entry));
    std::sort(entries.begin(), entries.end());
    JsonWriter w(out);
    w.array();
    for (const auto& entry : entries) w.raw(entry);
    w.end();
  } else {
    out = simdjson::to_string(e);
  }
  return out;
}

struct Item {
  std::string name, json;
};

struct Items {
  std::map<std::string, Item> by_id;
  std::string next;
};

Result<Items> read_items(std::string_view body, bool single) {
  const simdjson::padded_string padded(body);
  simdjson::dom::parser parser;
  simdjson::dom::object root;
  if (web_page_title(body)) return fail(Code::bad_input, "a web page came instead of data");
  if (parser.parse(padded).get(root) != simdjson::SUCCESS) return fail(Code::bad_input, "the page is cut or broken");
  const auto text = [](simdjson::dom::object object, const char* name) {
    std::string_view value;
    return object.at_key(name).get(value) == simdjson::SUCCESS ? std::string(value) : std::string();
  };
  Items out;
  const auto add = [&](simdjson::dom::element e) {
    simdjson::dom::object object;
    if (e.get(object) != simdjson::SUCCESS) return;
    Item item{.name = text(object, "displayName"), .json = canonical(e)};
    for (const char* other : {"principalDisplayName", "clientId"})
      if (item.name.empty()) item.name = text(object, other);
    if (auto id = text(object, "id"); !id.empty()) out.by_id[std::move(id)] = std::move(item);
  };
  if (single) {
    simdjson::dom::element e;
    if (parser.parse(padded).get(e) == simdjson::SUCCESS) add(e);
    if (out.by_id.empty()) return fail(Code::bad_input, "the answer has no id");
    return out;
  }
  simdjson::dom::array list;
  if (root.at_key("value").get(list) != simdjson::SUCCESS)
    return fail(Code::bad_input, "the answer has no list \"value\"");
  for (const auto e : list) add(e);
  out.next = text(root, "@odata.nextLink");
  return out;
}

struct SettingRow {
  std::string kind, id, name, json;
};
BOOST_DESCRIBE_STRUCT(SettingRow, (), (kind, id, name, json))

std::map<std::string, std::string> members_of(const std::string& json) {
  std::map<std::string, std::string> out;
  for (auto& [name, value] : flat_members(json).value_or(std::vector<std::pair<std::string, std::string>>{}))
    out[name] = std::move(value);
  return out;
}

Record change_record(std::string_view operation, const std::string& kind, const std::string& id,
                     const std::string& name, const std::string& before, const std::string& after, Instant at) {
  Record record{.key = {}, .at = at, .line = {}};
  const std::string change_id =
      "bavn-" + to_hex(sha256(kind + "\n" + id + "\n" + before + "\n" + after + "\n" + format_time(at))).substr(0, 32);
  record.key = change_id;
  JsonWriter w(record.line);
  w.object()
      .member("id", change_id)
      .member("category", "ApplicationManagement")
      .member("result", "success")
      .member("resultReason",
              "seen by comparing two pictures; when and by whom stands in the directory's own audit log")
      .member("activityDisplayName", fmt::format("Setting {}: {}", operation, kind))
      .member("activityDateTime", format_time(at))
      .member("loggedByService", "Bavn settings picture")
      .member("operationType", operation == "appeared"  ? "Add"
                               : operation == "changed" ? "Update"
                                                        : "Delete");
  w.key("initiatedBy")
      .object()
      .end()
      .key("targetResources")
      .array()
      .object()
      .member("id", id)
      .member("displayName", name)
      .member("type", kind);
  w.key("modifiedProperties").array();
  const auto old_members = members_of(before), new_members = members_of(after);
  std::map<std::string, std::pair<std::string, std::string>> all;
  for (const auto& [key, value] : old_members) all[key].first = value;
  for (const auto& [key, value] : new_members) all[key].second = value;
  for (const auto& [key, values] : all)
    if (values.first != values.second)
      w.object()
          .member("displayName", key)
          .member("oldValue", values.first.substr(0, 4096))
          .member("newValue", values.second.substr(0, 4096))
          .end();
  w.end().end().end().end();
  return record;
}

}  // namespace

struct SettingsPuller::Picture {
  std::vector<Part> parts;
  std::map<std::pair<std::string, std::string>, Item> items;  // kind, id
  std::set<std::string> whole;                                // kinds read to the end
  std::set<std::string> links;
  std::optional<Trouble> trouble;  // of a kind that could not be read
  Then then;
};

void SettingsPuller::poll(Then then) {
  auto picture = std::make_shared<Picture>();
  picture->then = std::move(then);
  picture->parts = {
      {"application",
       "/v1.0/"
       "applications?$select=id,appId,displayName,createdDateTime,signInAudience,passwordCredentials,keyCredentials,"
       "requiredResourceAccess&$top=500"},
      {"service principal",
       "/v1.0/"
       "servicePrincipals?$select=id,appId,displayName,accountEnabled,servicePrincipalType,appOwnerOrganizationId,"
       "createdDateTime&$top=500"},
      {"delegated grant", "/v1.0/oauth2PermissionGrants?$top=500"},
      {"authorization policy", "/v1.0/policies/authorizationPolicy", true},
      {"conditional access policy", "/v1.0/identity/conditionalAccess/policies"},
  };
  part(picture, 0, parts_.access->url(Service::graph, picture->parts[0].path));
}

void SettingsPuller::part(std::shared_ptr<Picture> picture, std::size_t n, std::string url) {
  if (!same_origin(parts_.access->base(Service::graph), url) || !picture->links.insert(url).second ||
      picture->links.size() > 1000) {
    picture->then(Trouble{.kind = TroubleKind::bad_link,
                          .what = "the next page is somewhere else, or was there before: " + url.substr(0, 200),
                          .fix = "It was not followed. Is a proxy in between?",
                          .code = {}});
    return;
  }
  const auto single = picture->parts[n].single;
  const bool policy = picture->parts[n].kind.ends_with("policy");
  auto read = std::make_shared<Items>();
  Call call{.budget = Budget::directory,
            .url = std::move(url),
            .body = {},
            .permission = policy ? "Policy.Read.All" : "Directory.Read.All",
            .licence = "Entra ID P1"};
  call.unusable = [read, single](const net::ClientReply& reply) -> std::optional<std::string> {
    auto items = read_items(reply.body, single);
    if (!items) return items.error().what;
    *read = std::move(*items);
    return std::nullopt;
  };
  parts_.access->send(
      std::move(call), guarded<SettingsPuller>([picture, n, read](SettingsPuller& self, Answer answer) mutable {
        const std::string kind = picture->parts[n].kind;
        if (!answer) {
          auto& trouble = answer.error();
          const bool only_this = trouble.kind == TroubleKind::permission || trouble.kind == TroubleKind::licence;
          if (!only_this) {
            picture->then(std::move(trouble));
            return;
          }
          if (!picture->trouble || trouble.kind == TroubleKind::permission) picture->trouble = std::move(trouble);
        } else {
          for (auto& [id, item] : read->by_id) {
            // Who may act without a person stands at the service that is acted on.
            if (kind == "service principal") {
              const auto members = members_of(item.json);
              const auto app = members.find("appId");
              if (app != members.end() && (app->second == kGraph || app->second == kExchange)) {
                picture->parts.push_back(
                    {"application right", fmt::format("/v1.0/servicePrincipals/{}/appRoleAssignedTo?$top=500", id)});
                picture->parts.push_back({"roles of a service",
                                          fmt::format("/v1.0/servicePrincipals/{}?$select=id,displayName,appRoles", id),
                                          true});
              }
            }
            picture->items[{kind, id}] = std::move(item);
          }
          if (!read->next.empty()) {
            self.part(std::move(picture), n, std::move(read->next));
            return;
          }
          picture->whole.insert(kind);
        }
        if (n + 1 < picture->parts.size())
          self.part(picture, n + 1, self.parts_.access->url(Service::graph, picture->parts[n + 1].path));
        else self.compare(std::move(picture));
      }));
}

void SettingsPuller::compare(std::shared_ptr<Picture> picture) {
  const std::string source = intake_->origin().source;
  const auto before = parts_.state.read([&](store::Reader& db) {
    return db.all<SettingRow>("SELECT kind, id, name, json FROM m365_setting WHERE source = :s", {{"s", source}});
  });
  if (!before) {
    picture->then(Trouble{.kind = TroubleKind::server,
                          .what = "the node's own store: " + to_string(before.error()),
                          .fix = "Is the disk full?",
                          .code = {}});
    return;
  }
  std::set<std::string> known_kinds;
  for (const auto& row : *before) known_kinds.insert(row.kind);
  const auto at = std::chrono::floor<std::chrono::seconds>(runtime().now());
  std::vector<Record> changes;
  std::vector<SettingRow> gone, put;
  auto left = picture->items;
  for (const auto& row : *before) {
    const auto found = left.find({row.kind, row.id});
    if (found == left.end()) {
      if (!picture->whole.contains(row.kind)) continue;
      if (row.kind != "roles of a service")
        changes.push_back(change_record("disappeared", row.kind, row.id, row.name, row.json, "{}", at));
      gone.push_back(row);
      continue;
    }
    if (found->second.json != row.json) {
      if (row.kind != "roles of a service")
        changes.push_back(
            change_record("changed", row.kind, row.id, found->second.name, row.json, found->second.json, at));
      put.push_back({row.kind, row.id, found->second.name, found->second.json});
    }
    left.erase(found);
  }
  for (auto& [kind_id, item] : left) {
    if (known_kinds.contains(kind_id.first) && kind_id.first != "roles of a service")
      changes.push_back(change_record("appeared", kind_id.first, kind_id.second, item.name, "{}", item.json, at));
    put.push_back({kind_id.first, kind_id.second, item.name, item.json});
  }
  cursor_text_ = fmt::format("{} settings at {}", picture->items.size(), format_time(at));
  auto write = [source, gone = std::move(gone), put = std::move(put)](store::Tx& tx) -> Result<void> {
    for (const auto& row : gone)
      BAVN_CHECK(tx.exec("DELETE FROM m365_setting WHERE source = :s AND kind = :k AND id = :i",
                         {{"s", source}, {"k", row.kind}, {"i", row.id}}));
    for (const auto& row : put)
      BAVN_CHECK(
          tx.exec("INSERT INTO m365_setting (source, kind, id, name, json) VALUES (:s, :k, :i, :n, :j) "
                  "ON CONFLICT (source, kind, id) DO UPDATE SET name = :n, json = :j",
                  {{"s", source}, {"k", row.kind}, {"i", row.id}, {"n", row.name}, {"j", row.json}}));
    return {};
  };
  intake_->take(std::move(changes), std::move(write),
                guarded<SettingsPuller>([picture](SettingsPuller&, Result<Taken> taken) {
                  if (!taken)
                    picture->then(Trouble{.kind = TroubleKind::server,
                                          .what = "the node's own store: " + to_string(taken.error()),
                                          .fix = "Is the disk full?",
                                          .code = {}});
                  else if (picture->trouble && picture->trouble->kind == TroubleKind::licence)
                    picture->then(std::nullopt);  // all that this tenant has was read
                  else picture->then(std::move(picture->trouble));
                }));
}

}  // namespace bavn::input::microsoft365
