"""How far apart are two sets, where, and can the estimate be trusted?"""
