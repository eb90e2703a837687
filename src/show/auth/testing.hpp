#pragma once
// For tests of this folder and above: an authenticator in software, and a browser that keeps cookies and speaks to a Router.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include <map>
#include <memory>
#include <string>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "net/http.hpp"
#include "net/json_value.hpp"

namespace bavn::show::auth::testing {

inline std::string json_text(std::string_view s) {
  std::string out;
  append_json_string(out, s);
  return out;
}

/// A passkey of P-256 with attestation "none". Counts up at each use.
class SoftKey {
 public:
  explicit SoftKey(std::string id, std::string origin = "https://desk.example.org", std::string rp = "desk.example.org")
      : id_(std::move(id)), origin_(std::move(origin)), rp_(std::move(rp)), key_(EVP_EC_gen("P-256"), EVP_PKEY_free) {}

  bool verifies_user = true;
  std::uint32_t count = 0;
  std::string user_handle{};  // base64url

  /// options: what /api/passkeys/registration/options answered; the body for POST /api/passkeys.
  std::string make(std::string_view options, std::string_view name = "test key") {
    const auto document = net::JsonDocument::parse(options).value();
    const auto key = document.root()["publicKey"];
    user_handle = std::string(key["user"]["id"].text_or(""));
    const std::string client = client_data("webauthn.create", key["challenge"].text_or(""));
    std::string data = head(0x40);
    data += std::string(16, '\0');
    data += static_cast<char>(0);
    data += static_cast<char>(id_.size());
    data += id_;
    data += cose();
    std::string object = "\xa3\x63";
    object += "fmt\x64none\x67";
    object += "attStmt\xa0\x68";
    object += "authData\x58";
    object += static_cast<char>(data.size());
    object += data;
    return "{\"name\":" + json_text(name) + ",\"credential\":{\"id\":\"" + to_base64url(id_) +
           "\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"" + to_base64url(client) +
           "\",\"attestationObject\":\"" + to_base64url(object) + "\",\"transports\":[\"usb\"]}}}";
  }
  /// options: of sign-in or proof; the credential as a browser sends it.
  std::string use(std::string_view options) {
    const auto document = net::JsonDocument::parse(options).value();
    const std::string client = client_data("webauthn.get", document.root()["publicKey"]["challenge"].text_or(""));
    ++count;
    const std::string data = head(0);
    return "{\"id\":\"" + to_base64url(id_) + "\",\"type\":\"public-key\",\"response\":{\"clientDataJSON\":\"" +
           to_base64url(client) + "\",\"authenticatorData\":\"" + to_base64url(data) + "\",\"signature\":\"" +
           to_base64url(sign(data + sha256(client))) + "\",\"userHandle\":\"" + user_handle + "\"}}";
  }

 private:
  std::string client_data(std::string_view type, std::string_view challenge) const {
    return "{\"type\":\"" + std::string(type) + "\",\"challenge\":\"" + std::string(challenge) + "\",\"origin\":\"" +
           origin_ + "\",\"crossOrigin\":false}";
  }
  std::string head(unsigned more) const {
    std::string data = sha256(rp_);
    data += static_cast<char>(0x01U | (verifies_user ? 0x04U : 0U) | more);
    for (unsigned shift = 32; shift > 0; shift -= 8) data += static_cast<char>((count >> (shift - 8)) & 0xFFU);
    return data;
  }
  std::string cose() const {
    std::string point(65, '\0');
    std::size_t size = 0;
    EXPECT_EQ(EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_PUB_KEY,
                                              reinterpret_cast<unsigned char*>(point.data()), point.size(), &size),
              1);
    return std::string("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20", 10) + point.substr(1, 32) +
           std::string("\x22\x58\x20", 3) + point.substr(33, 32);
  }
  std::string sign(std::string_view message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    std::string signature(80, '\0');
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSignInit_ex(context, nullptr, "SHA256", nullptr, nullptr, key_.get(), nullptr), 1);
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                             reinterpret_cast<const unsigned char*>(message.data()), message.size()),
              1);
    EVP_MD_CTX_free(context);
    signature.resize(size);
    return signature;
  }
  std::string id_, origin_, rp_;
  std::shared_ptr<EVP_PKEY> key_;
};

/// Keeps what it is told to keep, and sends it back.
class Browser {
 public:
  explicit Browser(const net::Router& router, std::string address = "192.0.2.7")
      : router_(&router), address_(std::move(address)) {}
  std::map<std::string, std::string> cookies{};
  std::map<std::string, std::string> headers{{"Sec-Fetch-Site", "same-origin"},
                                             {"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0"}};

  net::Reply get(const std::string& target) { return send(net::Method::get, target, ""); }
  net::Reply post(const std::string& target, std::string body = "{}") {
    return send(net::Method::post, target, std::move(body));
  }
  net::Reply put(const std::string& target, std::string body) {
    return send(net::Method::put, target, std::move(body));
  }
  net::Reply del(const std::string& target) { return send(net::Method::del, target, ""); }
  net::Request request(net::Method method, const std::string& target, std::string body = "") const {
    net::Request q = net::request_for(method, target).value();
    q.body = std::move(body);
    q.peer.address = address_;
    std::string all;
    for (const auto& [name, value] : cookies) all += (all.empty() ? "" : "; ") + name + "=" + value;
    if (!all.empty()) q.headers.set("Cookie", all);
    for (const auto& [name, value] : headers) q.headers.set(name, value);
    return q;
  }
  net::Reply send(net::Method method, const std::string& target, std::string body) {
    net::Reply reply;
    reply.status = 0;
    router_->handle(request(method, target, std::move(body)), [&](net::Reply r) { reply = std::move(r); });
    keep(reply);
    return reply;
  }
  void keep(const net::Reply& reply) {
    for (const auto& [name, value] : reply.headers.all()) {
      if (name != "Set-Cookie") continue;
      const std::string cookie = value.substr(0, value.find(';'));
      const auto is = cookie.find('=');
      if (value.find("Max-Age=0") != std::string::npos) cookies.erase(cookie.substr(0, is));
      else cookies[cookie.substr(0, is)] = cookie.substr(is + 1);
    }
  }
  static std::string field(const net::Reply& reply, std::string_view name) {
    const auto document = net::JsonDocument::parse(reply.body);
    return document ? std::string(document->root()[name].text_or("")) : "";
  }
  static std::string problem(const net::Reply& reply) { return field(reply, "type"); }

 private:
  const net::Router* router_;
  std::string address_;
};

}  // namespace bavn::show::auth::testing
