"""What files hold: types, pickles, secrets, personal paths, chat templates."""
