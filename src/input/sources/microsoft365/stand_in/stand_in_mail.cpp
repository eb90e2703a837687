// Mailboxes as Graph and Defender show them: search by Message-ID, move, delete, remediate; and the switches of whoever holds a rehearsal.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <charconv>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"

namespace bavn::input::microsoft365::stand_in {
namespace {

using namespace std::chrono_literals;
using net::Reply;
using net::Request;

constexpr std::string_view kRecoverable = "recoverableitemsdeletions";

Reply no(int status, std::string_view code, std::string_view message) {
  std::string body;
  JsonWriter(body).object().key("error").object().member("code", code).member("message", message).end().end();
  return net::json(std::move(body), status);
}

/// The text between quotes after "field eq "; a doubled quote is one.
std::optional<std::string> wanted(std::string_view filter, std::string_view field) {
  const auto at = filter.find(fmt::format("{} eq '", field));
  if (at == filter.npos) return std::nullopt;
  std::string out;
  for (auto i = at + field.size() + 5; i < filter.size(); ++i) {
    if (filter[i] == '\'') {
      if (i + 1 >= filter.size() || filter[i + 1] != '\'') return out;
      ++i;
    }
    out += filter[i];
  }
  return std::nullopt;
}

std::string mail_json(const Mailboxes::Mail& m, std::string_view user, bool headers) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("@odata.etag", "W/\"CQAAABYAAAD\"")
      .member("id", m.item)
      .member("parentFolderId", Mailboxes::folder_id(user, m.folder))
      .member("internetMessageId", m.message_id)
      .member("receivedDateTime", format_time(std::chrono::floor<std::chrono::seconds>(m.arrives)));
  for (const auto* who : {"sender", "from"})
    w.key(who).object().key("emailAddress").object().member("name", m.sender).member("address", m.sender).end().end();
  if (headers) {
    w.key("internetMessageHeaders").array();
    w.object().member("name", "Message-ID").member("value", m.message_id).end();
    if (!m.answers.empty()) w.object().member("name", "In-Reply-To").member("value", m.answers).end();
    w.end();
  }
  w.end();
  return out;
}

std::string list_json(const std::vector<std::string>& records) {
  std::string body;
  JsonWriter w(body);
  w.object().member("@odata.context", "https://graph.microsoft.com/$metadata").key("value").array();
  for (const auto& r : records) w.raw(r);
  w.end().end();
  return body;
}

}  // namespace

Result<std::string> StandIn::deliver(Delivered mail) {
  const auto* town = world_.tenant_of(mail.to);
  const bool known = town != nullptr && std::any_of(town->people.begin(), town->people.end(),
                                                    [&](const Person& p) { return p.address == mail.to; });
  if (!known) return fail(Code::bad_input, fmt::format("no tenant here has a mailbox \"{}\"", mail.to));
  if (mail.message_id.empty()) {
    const auto at = mail.from.rfind('@');
    mail.message_id =
        fmt::format("<{:016x}{:08x}@{}>", runtime_.random_number(), runtime_.random_below(1ULL << 32U),
                    at == std::string::npos ? std::string_view("example") : std::string_view(mail.from).substr(at + 1));
  }
  const auto when = mail.at.value_or(runtime_.now());
  const auto network = world_.mail(mail.from, mail.to, mail.message_id, mail.subject, when, mail.trace);
  auto& put = mailboxes_.box(mail.to).mails.back();
  put.folder = mail.folder;
  put.answers = mail.answers;
  return mail.message_id;
}

std::optional<Reply> StandIn::mailbox_refused(const Request& q, std::string& user) {
  user = to_lower(q.param("user"));
  unsigned tenant = 0;
  // 10,000 requests in ten minutes for an application and a mailbox.
  if (auto refusal = refused(q, true, {"Mail.ReadWrite"}, "mail/" + user, {10'000, 10min}, tenant)) return refusal;
  mailboxes_.apply(runtime_.now());
  const auto* town = world_.tenant_of(user);
  const bool known =
      town != nullptr && town->number == tenant &&
      std::any_of(town->people.begin(), town->people.end(), [&](const Person& p) { return p.address == user; });
  if (!known) return no(404, "ErrorInvalidUser", fmt::format("The requested user '{}' is invalid.", user));
  if (mailboxes_.box(user).closed)
    return no(403, "ErrorAccessDenied",
              "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly AccessPolicy settings.");
  return std::nullopt;
}

Reply StandIn::mails(const Request& q, std::string_view folder) {
  std::string user;
  if (auto refusal = mailbox_refused(q, user)) return std::move(*refusal);
  std::string in;
  if (!folder.empty()) {
    in = Mailboxes::folder_named(user, folder);
    if (in.empty()) return no(404, "ErrorFolderNotFound", "The specified folder could not be found in the store.");
  }
  const auto id = wanted(q.asked("$filter").value_or(""), "internetMessageId");
  const bool headers = q.asked("$select").value_or("").contains("internetMessageHeaders");
  std::size_t top = 10;
  if (const auto asked = q.asked("$top")) std::from_chars(asked->data(), asked->data() + asked->size(), top);
  std::vector<std::string> out;
  for (auto& mail : mailboxes_.box(user).mails) {
    if (mail.arrives > runtime_.now() || out.size() >= top) continue;
    if (in.empty() ? mail.folder == kRecoverable : mail.folder != in) continue;
    if (id && mail.message_id != *id) continue;
    out.push_back(mail_json(mail, user, headers));
    if (happens(options_.faults.user_moves) && mail.folder != kRecoverable) {
      ++counts_.faults;
      mailboxes_.move(mail, mail.folder == "archive" ? "inbox" : "archive");
    }
  }
  return spoiled(net::json(list_json(out)));
}

Reply StandIn::move(const Request& q, bool remove) {
  std::string user;
  if (auto refusal = mailbox_refused(q, user)) return std::move(*refusal);
  auto* mail = mailboxes_.find(user, q.param("item"), runtime_.now());
  if (mail == nullptr) return no(404, "ErrorItemNotFound", "The specified object was not found in the store.");
  std::string to(kRecoverable);
  if (!remove) {
    simdjson::dom::parser parser;
    simdjson::dom::object body;
    std::string_view wanted_folder;
    const simdjson::padded_string text(q.body);
    if (parser.parse(text).get(body) != simdjson::SUCCESS ||
        body.at_key("destinationId").get(wanted_folder) != simdjson::SUCCESS)
      return no(400, "BadRequest", "Unable to read JSON request payload.");
    to = Mailboxes::folder_named(user, wanted_folder);
    if (to.empty()) return no(404, "ErrorFolderNotFound", "The specified folder could not be found in the store.");
  }
  if (remove && mail->folder == kRecoverable) {  // for good, unless the mailbox is on hold
    if (mailboxes_.box(user).hold)
      return no(403, "ErrorCannotDeleteObject", "The item is kept by a hold on the mailbox and cannot be deleted.");
    auto& all = mailboxes_.box(user).mails;
    all.erase(all.begin() + (mail - all.data()));
    Reply gone;
    gone.status = 204;
    return gone;
  }
  if (to == kRecoverable && mailboxes_.box(user).full)
    return no(507, "ErrorQuotaExceeded",
              "The process failed to get the correct properties: the recoverable items are full.");
  mailboxes_.move(*mail, to);
  if (happens(options_.faults.late_error)) {
    ++counts_.faults;
    return no(504, "GatewayTimeout", "The request has timed out.");
  }
  if (happens(options_.faults.wrong_code)) {
    ++counts_.faults;
    return net::json("{}", 200);
  }
  if (remove) {
    Reply reply;
    reply.status = 204;
    return reply;
  }
  return spoiled(net::json(mail_json(*mail, user, false), 201));
}

Reply StandIn::remediate(const Request& q) {
  unsigned tenant = 0;
  if (auto refusal = refused(q, true, {"SecurityAnalyzedMessage.ReadWrite.All"}, "security", {150, 1min}, tenant))
    return std::move(*refusal);
  if (!licences_[tenant].defender) return no(403, "Forbidden", "The tenant does not have a valid license.");
  simdjson::dom::parser parser;
  simdjson::dom::object body;
  simdjson::dom::array list;
  std::string_view action, name;
  const simdjson::padded_string text(q.body);
  if (parser.parse(text).get(body) != simdjson::SUCCESS || body.at_key("action").get(action) != simdjson::SUCCESS ||
      body.at_key("displayName").get(name) != simdjson::SUCCESS ||
      body.at_key("analyzedEmails").get(list) != simdjson::SUCCESS)
    return no(400, "BadRequest", "Unable to read JSON request payload.");
  const std::string_view folder = action == "softDelete"           ? kRecoverable
                                  : action == "moveToInbox"        ? "inbox"
                                  : action == "moveToJunk"         ? "junkemail"
                                  : action == "moveToDeletedItems" ? "deleteditems"
                                                                   : "";
  if (folder.empty()) return no(400, "BadRequest", "This action is not supported.");
  for (const auto mail : list) {
    std::string_view network, recipient;
    if (mail["networkMessageId"].get(network) != simdjson::SUCCESS ||
        mail["recipientEmailAddress"].get(recipient) != simdjson::SUCCESS)
      return no(400, "BadRequest", "networkMessageId and recipientEmailAddress are needed.");
    const auto* town = world_.tenant_of(recipient);
    if (town == nullptr || town->number != tenant) continue;  // accepted; nothing comes of it
    mailboxes_.later({.due = runtime_.now() + 20s + std::chrono::seconds(runtime_.random_below(100)),
                      .user = to_lower(recipient),
                      .network_id = std::string(network),
                      .folder = std::string(folder)});
  }
  Reply reply;
  reply.status = 202;
  reply.headers.set("Location", "https://security.microsoft.com/action-center/history");
  return reply;
}

Reply StandIn::analyzed(const Request& q) {
  unsigned tenant = 0;
  if (auto refusal = refused(q, true, {"SecurityAnalyzedMessage.ReadWrite.All"}, "security", {150, 1min}, tenant))
    return std::move(*refusal);
  if (!licences_[tenant].defender) return no(403, "Forbidden", "The tenant does not have a valid license.");
  if (!q.asked("startTime") || !q.asked("endTime")) return no(400, "BadRequest", "startTime and endTime are needed.");
  mailboxes_.apply(runtime_.now());
  const auto filter = q.asked("$filter").value_or("");
  const auto network = wanted(filter, "networkMessageId"), recipient = wanted(filter, "recipientEmailAddress");
  std::vector<std::string> out;
  for (const auto& [user, box] : mailboxes_.boxes()) {
    const auto* town = world_.tenant_of(user);
    if (town == nullptr || town->number != tenant || (recipient && to_lower(*recipient) != user)) continue;
    for (const auto& mail : box.mails) {
      if (mail.arrives > runtime_.now() || (network && mail.network_id != *network) || out.size() >= 100) continue;
      std::string record;
      JsonWriter(record)
          .object()
          .member("id", mail.network_id + "-1")
          .member("networkMessageId", mail.network_id)
          .member("internetMessageId", mail.message_id)
          .member("recipientEmailAddress", user)
          .key("latestDelivery")
          .object()
          .member("action", "delivered")
          .member("location", mail.folder == kRecoverable || mail.folder == "deleteditems" ? "deletedFolder"
                              : mail.folder == "junkemail"                                 ? "junkFolder"
                              : mail.folder == "inbox"                                     ? "inbox_folder"
                                                                                           : "others")
          .end()
          .end();
      out.push_back(std::move(record));
    }
  }
  return spoiled(net::json(list_json(out)));
}

Reply StandIn::mailbox_switches(const Request& q) {
  const auto user = to_lower(q.param("user"));
  if (world_.tenant_of(user) == nullptr) return net::problem(404, "no such mailbox", user);
  auto& box = mailboxes_.box(user);
  const std::pair<std::string_view, bool*> all[] = {{"hold", &box.hold}, {"full", &box.full}, {"closed", &box.closed}};
  for (const auto& [name, value] : all)
    if (const auto asked = q.asked(name)) *value = *asked == "true";
  return net::json("{}");
}

void StandIn::add_mail_routes(net::Router& router) {
  const auto anyone = event::Right::anyone;
  router.get("/graph/v1.0/users/{user}/messages", anyone, [this](const Request& q) { return mails(q, ""); });
  router.get("/graph/v1.0/users/{user}/mailFolders/{folder}/messages", anyone,
             [this](const Request& q) { return mails(q, q.param("folder")); });
  router.post("/graph/v1.0/users/{user}/messages/{item}/move", anyone,
              [this](const Request& q) { return move(q, false); });
  router.del("/graph/v1.0/users/{user}/messages/{item}", anyone, [this](const Request& q) { return move(q, true); });
  router.post("/graph/v1.0/security/collaboration/analyzedEmails/remediate", anyone,
              [this](const Request& q) { return remediate(q); });
  router.get("/graph/beta/security/collaboration/analyzedEmails", anyone,
             [this](const Request& q) { return analyzed(q); });

  // For whoever holds the rehearsal.
  router.post("/stand-in/deliver", anyone, [this](const Request& q) {
    Delivered mail;
    const auto take = [&](std::string_view name, std::string& into) {
      if (const auto asked = q.asked(name)) into = *asked;
    };
    take("from", mail.from);
    take("to", mail.to);
    take("subject", mail.subject);
    take("message_id", mail.message_id);
    take("folder", mail.folder);
    take("answers", mail.answers);
    mail.to = to_lower(mail.to);
    const auto id = deliver(std::move(mail));
    if (!id) return net::problem(id.error());
    std::string body;
    JsonWriter(body).object().member("message_id", *id).end();
    return net::json(std::move(body));
  });
  router.get("/stand-in/mailboxes", anyone, [this](const Request& q) {
    mailboxes_.apply(runtime_.now());
    const std::string domain(q.asked("domain").value_or(""));
    std::map<std::string, std::int64_t> folders;
    for (const auto& [user, box] : mailboxes_.boxes())
      if (user.ends_with(domain))
        for (const auto& mail : box.mails)
          if (mail.arrives <= runtime_.now()) ++folders[mail.folder];
    std::string body;
    JsonWriter w(body);
    w.object();
    for (const auto& [folder, n] : folders) w.member(folder, n);
    w.end();
    return net::json(std::move(body));
  });
  router.post("/stand-in/mailboxes/{user}", anyone, [this](const Request& q) { return mailbox_switches(q); });
}

}  // namespace bavn::input::microsoft365::stand_in
