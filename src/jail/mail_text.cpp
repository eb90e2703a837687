#include "jail/mail_text.hpp"

#include <fmt/format.h>
#include <gmime/gmime.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "base/text.hpp"
#include "jail/html_text.hpp"
#include "jail/pdf_text.hpp"
#include "jail/pieces.hpp"

namespace bavn::jail {

namespace {

constexpr int kMaxDepth = 30;
constexpr std::size_t kMaxParts = 1000, kMaxTargets = 2000;

// Converters that are opened before the sandbox closes and stay: iconv reads a file for each. Others are not found in there.
constexpr const char* kCharsets[] = {
    "iso-8859-1",   "iso-8859-2",   "iso-8859-3",   "iso-8859-4",   "iso-8859-5",   "iso-8859-6",   "iso-8859-7",
    "iso-8859-8",   "iso-8859-9",   "iso-8859-10",  "iso-8859-13",  "iso-8859-14",  "iso-8859-15",  "windows-1250",
    "windows-1251", "windows-1252", "windows-1253", "windows-1254", "windows-1255", "windows-1256", "windows-1257",
    "windows-1258", "koi8-r",       "koi8-u",       "gb2312",       "gbk",          "gb18030",      "big5",
    "euc-kr",       "euc-jp",       "iso-2022-jp",  "shift_jis",    "utf-7",        "utf-16",       "utf-8",
    "us-ascii",     "macintosh",    "cp850",        "cp437"};

template <class T>
struct Unref {
  void operator()(T* object) const { g_object_unref(object); }
};
template <class T>
using Owned = std::unique_ptr<T, Unref<T>>;

void ready() {
  static const bool once = [] {
    g_mime_init();
    // What is 8 bit in a header is UTF-8 or else Windows-1252.
    const char* charsets[] = {"utf-8", "windows-1252", nullptr};
    g_mime_parser_options_set_fallback_charsets(g_mime_parser_options_get_default(), charsets);
    return true;
  }();
  (void)once;
}

std::string view(const char* text) {
  return text == nullptr ? std::string() : std::string(text);
}

std::string utf8_of(std::string_view bytes, std::string charset) {
  charset = to_lower(trim(charset));
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  for (const std::string_view plain :
       {"", "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin1", "windows-1252", "cp1252"})
    if (charset == plain) return repair_utf8(bytes);
  if (charset.size() > 40) return repair_utf8(bytes);
  const iconv_t converter = g_mime_iconv_open("UTF-8", charset.c_str());
  if (converter == reinterpret_cast<iconv_t>(-1)) return repair_utf8(bytes);
  std::string out;
  std::array<char, 8192> block;
  char* in = const_cast<char*>(bytes.data());
  std::size_t left = bytes.size();
  while (left > 0) {
    char* to = block.data();
    std::size_t room = block.size();
    const std::size_t n = iconv(converter, &in, &left, &to, &room);
    const int why = errno;
    out.append(block.data(), block.size() - room);
    if (n != static_cast<std::size_t>(-1) || left == 0) continue;
    if (why == E2BIG && room < block.size()) continue;
    out += "\xEF\xBF\xBD";
    ++in;
    --left;
  }
  g_mime_iconv_close(converter);
  return out;
}

std::string content_of(GMimePart* part) {
  GMimeDataWrapper* content = g_mime_part_get_content(part);
  if (content == nullptr) return {};
  const Owned<GMimeStream> out(g_mime_stream_mem_new());
  g_mime_data_wrapper_write_to_stream(content, out.get());
  const GByteArray* bytes = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(out.get()));
  return bytes == nullptr || bytes->len == 0 ? std::string()
                                             : std::string(reinterpret_cast<const char*>(bytes->data), bytes->len);
}

std::string type_of(GMimeObject* object) {
  GMimeContentType* type = g_mime_object_get_content_type(object);
  if (type == nullptr) return "text/plain";
  return to_lower(view(g_mime_content_type_get_media_type(type)) + "/" +
                  view(g_mime_content_type_get_media_subtype(type)));
}

bool ends_with_any(std::string_view name, std::initializer_list<std::string_view> ends) {
  const std::string low = to_lower(name);
  return std::ranges::any_of(ends, [&](std::string_view end) { return low.ends_with(end); });
}

class Mail {
 public:
  Result<void> read(std::string_view bytes, int depth) {
    const Owned<GMimeStream> stream(g_mime_stream_mem_new_with_buffer(bytes.data(), bytes.size()));
    const Owned<GMimeParser> parser(g_mime_parser_new_with_stream(stream.get()));
    g_mime_parser_set_format(parser.get(), bytes.starts_with("From ") ? GMIME_FORMAT_MBOX : GMIME_FORMAT_MESSAGE);
    const Owned<GMimeMessage> message(g_mime_parser_construct_message(parser.get(), nullptr));
    if (!message) return fail(Code::bad_input, "mail: broken, it has no headers");
    return one(message.get(), depth);
  }
  std::string take() { return std::move(flat_); }

 private:
  Result<void> put(const Piece& piece) {
    put_piece(flat_, piece);
    if (flat_.size() > kMaxDocumentText) return fail(Code::bad_input, "mail: more than 4 MiB of text: split it");
    return {};
  }

  Result<void> one(GMimeMessage* message, int depth) {
    std::size_t some = 0;
    const GMimeObject* as_object = GMIME_OBJECT(message);
    for (const char* name : {"Subject", "From", "Reply-To", "Date"}) {
      const std::string value = clean_text(view(g_mime_object_get_header(const_cast<GMimeObject*>(as_object), name)));
      if (trim(value).empty()) continue;
      ++some;
      // The sender of a report is not what it warns of; of a mail in the mail it may be.
      if (depth == 0 && std::string_view(name) == "Reply-To") continue;
      BAVN_CHECK(put({PieceKind::header, 0, 0, name, trim(value)}));
    }
    if (some == 0 && depth == 0) return fail(Code::bad_input, "mail: it has no Subject, From or Date, so it is none");
    GMimeObject* body = g_mime_message_get_mime_part(message);
    return body == nullptr ? Result<void>() : part(body, depth);
  }

  Result<void> part(GMimeObject* object, int depth) {
    if (depth > kMaxDepth) return fail(Code::bad_input, "mail: nested more than 30 levels deep");
    if (++parts_ > kMaxParts) return fail(Code::bad_input, "mail: more than 1,000 parts");
    if (GMIME_IS_MULTIPART(object)) return many(GMIME_MULTIPART(object), depth);
    if (GMIME_IS_MESSAGE_PART(object)) {
      const std::string name = view(g_mime_object_get_content_disposition_parameter(object, "filename"));
      BAVN_CHECK(put({PieceKind::mail, 0, 0, name, {}}));
      GMimeMessage* inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
      return inner == nullptr ? Result<void>() : one(inner, depth + 1);
    }
    if (GMIME_IS_PART(object)) return single(GMIME_PART(object), depth);
    return put({PieceKind::left_out, 0, 0, {}, type_of(object)});
  }

  Result<void> many(GMimeMultipart* multipart, int depth) {
    const int count = g_mime_multipart_get_count(multipart);
    const std::string type = type_of(GMIME_OBJECT(multipart));
    if (type == "multipart/encrypted") return put({PieceKind::left_out, 0, 0, {}, "multipart/encrypted"});
    int plain = -1;
    if (type == "multipart/alternative")
      for (int i = 0; i < count; ++i) {
        GMimeObject* each = g_mime_multipart_get_part(multipart, i);
        if (plain < 0 && GMIME_IS_PART(each) && type_of(each) == "text/plain" && !words_of(GMIME_PART(each)).empty())
          plain = i;
      }
    for (int i = 0; i < count; ++i) {
      GMimeObject* each = g_mime_multipart_get_part(multipart, i);
      if (plain >= 0 && i != plain && type_of(each) != "text/plain" && type_of(each) != "text/calendar") {
        BAVN_CHECK(links_only(each, depth + 1));
        continue;
      }
      BAVN_CHECK(part(each, depth + 1));
    }
    return {};
  }

  static std::string words_of(GMimePart* part) {
    const std::string text = clean_text(
        utf8_of(content_of(part), view(g_mime_object_get_content_type_parameter(GMIME_OBJECT(part), "charset"))));
    return std::string(trim(text));
  }

  /// Of the HTML beside a plain text only where it leads is news. What else lies there (pictures, files) is listed.
  Result<void> links_only(GMimeObject* object, int depth) {
    if (GMIME_IS_PART(object) && type_of(object) == "text/html" && !is_file(GMIME_PART(object))) {
      if (++parts_ > kMaxParts) return fail(Code::bad_input, "mail: more than 1,000 parts");
      const std::string html =
          utf8_of(content_of(GMIME_PART(object)), view(g_mime_object_get_content_type_parameter(object, "charset")));
      std::string list;
      std::set<std::string, std::less<>> seen;
      html_targets(html, [&](std::string_view url) {
        if (seen.size() >= kMaxTargets || flat_.find(url) != std::string::npos || !seen.emplace(url).second) return;
        list += "<";
        list += url;
        list += ">\n";
      });
      return list.empty() ? Result<void>() : put({PieceKind::text, 0, 0, {}, list});
    }
    if (GMIME_IS_MULTIPART(object)) {
      if (depth > kMaxDepth) return fail(Code::bad_input, "mail: nested more than 30 levels deep");
      for (int i = 0; i < g_mime_multipart_get_count(GMIME_MULTIPART(object)); ++i)
        BAVN_CHECK(links_only(g_mime_multipart_get_part(GMIME_MULTIPART(object), i), depth + 1));
      return {};
    }
    return part(object, depth);
  }

  static bool is_file(GMimePart* part) { return g_mime_part_is_attachment(part) != 0; }

  Result<void> single(GMimePart* part, int depth) {
    GMimeObject* object = GMIME_OBJECT(part);
    const std::string type = type_of(object), name = view(g_mime_part_get_filename(part));
    const std::string label = name.empty() ? (is_file(part) ? type : std::string()) : name;
    const std::string charset = view(g_mime_object_get_content_type_parameter(object, "charset"));
    const std::string bytes = content_of(part);
    if (type == "application/pdf" || ends_with_any(name, {".pdf"}) || bytes.starts_with("%PDF-")) {
      const auto pages = pdf_text(bytes, label.empty() ? "PDF" : label);
      if (!pages) return put({PieceKind::left_out, bytes.size(), 0, label.empty() ? "PDF" : label, pages.error().what});
      flat_ += *pages;
      if (flat_.size() > kMaxDocumentText) return fail(Code::bad_input, "mail: more than 4 MiB of text: split it");
      return {};
    }
    if (type == "message/rfc822" || (ends_with_any(name, {".eml"}) && looks_like_mail(bytes))) {
      if (depth >= kMaxDepth) return fail(Code::bad_input, "mail: nested more than 30 levels deep");
      BAVN_CHECK(put({PieceKind::mail, 0, 0, name, {}}));
      return read(bytes, depth + 1);
    }
    const bool html = type == "text/html" || ends_with_any(name, {".html", ".htm"});
    const bool words =
        type.starts_with("text/") || type == "application/json" || type == "application/xml" ||
        type == "message/delivery-status" || type == "message/feedback-report" ||
        ends_with_any(name, {".txt", ".csv", ".tsv", ".json", ".md", ".log", ".yar", ".yara", ".ioc", ".xml"});
    if (!(html || words) || type == "text/rtf" || type == "text/richtext" ||
        (bytes.find('\0') != std::string::npos && !to_lower(charset).starts_with("utf-")))
      return bytes.empty() ? Result<void>() : put({PieceKind::left_out, bytes.size(), 0, label, type});
    std::string text = utf8_of(bytes, charset);
    if (html) text = html_text(text);
    if (trim(text).empty()) return {};
    return put({PieceKind::text, 0, 0, label, text});
  }

  std::string flat_;
  std::size_t parts_ = 0;
};

}  // namespace

bool looks_like_mail(std::string_view bytes) {
  constexpr std::string_view own[] = {
      "from",         "date", "received",     "message-id", "mime-version", "subject",  "return-path",
      "delivered-to", "to",   "content-type", "reply-to",   "x-mailer",     "arc-seal", "dkim-signature"};
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (bytes.starts_with("From "))
    bytes.remove_prefix(
        std::min(bytes.size(), bytes.find('\n') == std::string_view::npos ? bytes.size() : bytes.find('\n') + 1));
  bool sure = false;
  std::set<std::string, std::less<>> seen;
  for (int lines = 0; lines < 200 && !bytes.empty(); ++lines) {
    const auto end = std::min(bytes.find('\n'), bytes.size());
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    if (line.front() == ' ' || line.front() == '\t') {
      if (lines == 0) return false;
      continue;
    }
    const auto colon = line.find(':');
    if (colon == 0 || colon == std::string_view::npos || colon > 77) return false;
    const std::string name = to_lower(trim(line.substr(0, colon)));
    if (!std::ranges::all_of(name, [](char c) { return c > ' ' && static_cast<unsigned char>(c) < 127; })) return false;
    // A text may begin with "Subject:" and "Date:"; only machines write these.
    sure = sure || name == "received" || name == "message-id" || name == "mime-version" || name == "return-path" ||
           name == "content-type";
    if (std::ranges::find(own, name) != std::end(own)) seen.insert(name);
  }
  return (sure && seen.size() >= 2) || seen.size() >= 4;
}

Result<std::string> mail_text(std::string_view mail) {
  ready();
  if (mail.starts_with("\xEF\xBB\xBF")) mail.remove_prefix(3);
  while (!mail.empty() && (mail.front() == '\r' || mail.front() == '\n')) mail.remove_prefix(1);
  if (mail.empty()) return fail(Code::bad_input, "mail: it is empty");
  Mail reader;
  BAVN_CHECK(reader.read(mail, 0));
  return reader.take();
}

void warm_up_mail() {
  ready();
  // The sandbox has no stderr.
  g_log_set_default_handler([](const gchar*, GLogLevelFlags, const gchar*, gpointer) {}, nullptr);
  static std::vector<iconv_t> kept;
  for (const char* charset : kCharsets)
    for (const auto& [to, from] : {std::pair{"UTF-8", charset}, std::pair{charset, "UTF-8"}})
      if (const iconv_t opened = iconv_open(to, from); opened != reinterpret_cast<iconv_t>(-1)) kept.push_back(opened);
  (void)mail_text(
      "Subject: =?iso-8859-1?Q?=E6?=\r\nFrom: =?utf-8?B?w6Y=?= <a@b.example>\r\nDate: Mon, 2 Mar 2026 10:00:00 "
      "+0100\r\n"
      "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; "
      "charset=koi8-r\r\nContent-Transfer-Encoding: base64\r\n\r\n8PLJ\r\n--b\r\nContent-Disposition: attachment; "
      "filename*=iso-8859-1''%E6\r\nContent-Type: application/octet-stream\r\n\r\nx\r\n--b--\r\n");
}

}  // namespace bavn::jail
