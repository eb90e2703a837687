#include "input/sources/microsoft365/stand_in/mailboxes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"

namespace bavn::input::microsoft365::stand_in {

namespace {
constexpr std::string_view kRecoverable = "recoverableitemsdeletions";
constexpr std::string_view kFolders[] = {"inbox", "junkemail", "archive", "deleteditems", kRecoverable};
}  // namespace

std::string Mailboxes::next_item() {
  return fmt::format("AAMkAGI2{:012x}AAA=", ++items_);
}

void Mailboxes::put(const std::string& user, Mail mail) {
  mail.item = next_item();
  boxes_[user].mails.push_back(std::move(mail));
}

std::size_t Mailboxes::count(std::string_view domain, std::string_view folder, Instant now) const {
  std::size_t n = 0;
  for (const auto& [user, box] : boxes_)
    if (user.ends_with(domain))
      n += static_cast<std::size_t>(std::count_if(box.mails.begin(), box.mails.end(), [&](const Mail& m) {
        return m.arrives <= now && (folder.empty() ? m.folder != kRecoverable : m.folder == folder);
      }));
  return n;
}

std::string Mailboxes::folder_id(std::string_view user, std::string_view folder) {
  return "AQMk" + to_base64url(fmt::format("{}\n{}", user, folder));
}

std::string Mailboxes::folder_named(std::string_view user, std::string_view id_or_name) {
  if (std::find(std::begin(kFolders), std::end(kFolders), id_or_name) != std::end(kFolders))
    return std::string(id_or_name);
  if (!id_or_name.starts_with("AQMk")) return {};
  const auto text = from_base64url(id_or_name.substr(4));
  const auto own = std::string(user) + "\n";
  return text && text->starts_with(own) ? text->substr(own.size()) : std::string();
}

Mailboxes::Mail* Mailboxes::find(const std::string& user, std::string_view item, Instant now) {
  const auto box = boxes_.find(user);
  if (box == boxes_.end()) return nullptr;
  for (auto& mail : box->second.mails)
    if (mail.item == item && mail.arrives <= now) return &mail;
  return nullptr;
}

void Mailboxes::move(Mail& mail, std::string_view folder) {
  mail.folder = folder;
  mail.item = next_item();
}

void Mailboxes::apply(Instant now) {
  std::erase_if(waiting_, [&](const Remediation& r) {
    if (r.due > now) return false;
    const auto box = boxes_.find(r.user);
    if (box == boxes_.end() || box->second.full) return true;  // accepted, and nothing came of it
    for (auto& mail : box->second.mails)
      if (mail.network_id == r.network_id && mail.arrives <= now && mail.folder != r.folder) move(mail, r.folder);
    return true;
  });
}

}  // namespace bavn::input::microsoft365::stand_in
