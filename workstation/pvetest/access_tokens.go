package pvetest

func (t *apiToken) object() map[string]any {
	object := map[string]any{"privsep": bit(t.separate), "expire": t.expire}
	if t.comment != "" {
		object["comment"] = t.comment
	}
	return object
}

func (u *account) listTokens() []map[string]any {
	list := []map[string]any{}
	for _, id := range sorted(u.tokens) {
		object := u.tokens[id].object()
		object["tokenid"] = id
		list = append(list, object)
	}
	return list
}

func (a *accounts) tokensOf(c *call) (any, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, err
	}
	return u.listTokens(), nil
}

// token returns the token that a call names (check_token_exist).
func (a *accounts) token(c *call) (*apiToken, error) {
	u, err := a.user(c)
	if err != nil {
		return nil, err
	}
	if t := u.tokens[c.get("tokenid")]; t != nil {
		return t, nil
	}
	return nil, refuse("no such token '%s' for user '%s'", c.get("tokenid"), c.get("userid"))
}

func (a *accounts) getToken(c *call) (any, error) {
	t, err := a.token(c)
	if err != nil {
		return nil, err
	}
	return t.object(), nil
}

// createToken serves POST token/{tokenid}. A new token has no privileges until
// the access control list gives it some. With privsep=0 it has the privileges
// of its user.
func (a *accounts) createToken(c *call) (any, error) {
	u, err := a.user(c)
	switch {
	case err != nil:
		return nil, err
	case u.tokens[c.get("tokenid")] != nil:
		return nil, wrong("tokenid", "Token already exists.")
	}
	t := &apiToken{secret: a.uuid(), separate: c.get("privsep") != "0", expire: c.number("expire"), comment: c.get("comment")}
	u.tokens[c.get("tokenid")] = t
	return map[string]any{"info": t.object(), "value": t.secret, "full-tokenid": c.get("userid") + "!" + c.get("tokenid")}, nil
}

func (a *accounts) updateToken(c *call) (any, error) {
	t, err := a.token(c)
	if err != nil {
		return nil, err
	}
	if c.has("privsep") {
		t.separate = c.get("privsep") == "1"
	}
	if c.has("expire") {
		t.expire = c.number("expire")
	}
	if c.has("comment") {
		t.comment = c.get("comment")
	}
	for _, key := range splitList(c.get("delete")) {
		if key != "comment" {
			return nil, wrong("delete", "unknown option '%s'", key)
		}
		t.comment = ""
	}
	return t.object(), nil
}

func (a *accounts) deleteToken(c *call) (any, error) {
	if _, err := a.token(c); err != nil {
		return nil, err
	}
	delete(a.users[c.get("userid")].tokens, c.get("tokenid"))
	a.forget("token", c.get("userid")+"!"+c.get("tokenid"))
	return null()
}
